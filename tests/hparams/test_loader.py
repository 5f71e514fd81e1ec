"""Configuration: whatever is mistyped is refused, all at once, before anything is built."""

import functools
import os
import re
import subprocess
import sys

import pytest
import torch
from refusals import refused
from ruamel.yaml import YAML

from auricle.hparams.loader import ConfigError, load_hparams, shipped, shipped_defaults
from auricle.lobes import FRONTENDS
from auricle.lobes.brains import optimization
from auricle.recipes.music_emotion import model as music_model
from auricle.recipes.music_emotion import prepare as music_prepare
from auricle.recipes.own_sounds import options as sounds_options
from auricle.recipes.speech_commands import protocols
from auricle.recipes.timit import model as timit_model
from auricle.recipes.timit import prepare as timit_prepare
from auricle.recipes.training import runner
from auricle.recipes.training.lobe_checks import lobe_problems
from auricle.recipes.voxceleb import model as voxceleb_model
from auricle.recipes.voxceleb import prepare as voxceleb_prepare

RECIPE = "speech_commands"
CHECKS = [lobe_problems, optimization.problems, protocols.problems]
RECIPES = {
    RECIPE: CHECKS,
    "voxceleb": [
        lobe_problems,
        optimization.problems,
        voxceleb_prepare.problems,
        voxceleb_model.problems,
    ],
    "timit": [
        functools.partial(lobe_problems, output="frames"),
        optimization.problems,
        timit_prepare.problems,
        timit_model.problems,
    ],
    "music_emotion": [
        lobe_problems,
        optimization.problems,
        music_prepare.problems,
        music_model.problems,
    ],
    "own_sounds": [lobe_problems, optimization.problems, sounds_options.problems],
}
ROWS = YAML(typ="safe").load(shipped("experiments"))


def load(*words):
    return load_hparams([str(word) for word in words], RECIPE, CHECKS)


def problems(*words):
    return refused("", load, *words, error=ConfigError).problems


def only_problem(*words):
    found = problems(*words)
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def own_yaml(tmp_path):
    """The shipped YAML with replacements, as somebody's own file."""

    def write(*replacements):
        text = shipped(RECIPE).read_text(encoding="utf-8")
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "own.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


# -- what is right -----------------------------------------------------------------------------------


def test_defaults_are_the_shipped_yaml():
    config = load()
    assert config.overrides == {}
    assert config.plain == shipped_defaults(RECIPE)
    assert config.plain["frontend"] == "leaf" and config.plain["betas"] == [0.9, 0.999]


def test_overrides_of_any_depth_reach_the_built_objects(tmp_path):
    config = load(
        *(shipped(RECIPE), "--frontend", "mel", "--encoder", "linear", "--lr=1e-3", "--seed", 7),
        *("--frontend_options.mel.num_features", 20, "--frontend_options.mel.hop_ms=20"),
        *(f"--results_folder={tmp_path}/a=b.c", "--device=cpu", "--noprogressbar"),
    )
    assert config.plain["lr"] == 0.001
    assert config.run_opts.device == "cpu" and config.run_opts.noprogressbar is True
    assert config.run_opts.overridden_args == {"device", "noprogressbar"}
    built = config.build()
    frontend = built["model"].compute_features
    assert frontend.num_features == 20 and frontend.hop == 320
    assert built["output_folder"] == f"{tmp_path}/a=b.c/mel_linear/seed_7"
    assert built["lr"] == 0.001


def test_a_map_and_dots_mean_the_same():
    dots = load("--frontend_options.mel.num_features", 20, "--frontend_options.leaf.hop_ms", 5)
    both = load("--frontend_options", "{mel: {num_features: 20}, leaf: {hop_ms: 5}}")
    assert dots.overrides == both.overrides


NAMES = ["2026_11_20", "2026-11-20", "007", "true", "1e3", "a=b", "a.b", "runs/a #2", "#2", "[a]"]
NAMES += ["'a'", "a: b", "{a: 1}", "@a", "%a", "*a", "&a b", " a ", "!apply:os.mkdir [made]", "- a"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["output_folder", "results_folder", "data_folder"])
def test_a_folder_is_text_whatever_yaml_would_make_of_it(key, name):
    assert load(f"--{key}", name).plain[key] == name
    assert load(f"--{key}={name}").plain[key] == name


@pytest.mark.parametrize("name", ["2026_11_20", "a #2", "#2"])
def test_a_path_without_a_default_is_text_too(name):
    assert load("--official_test_folder", name).plain["official_test_folder"] == name
    assert load("--official_test_folder", "null").plain["official_test_folder"] is None
    option = "frontend_options.mel.path"
    plain = load_hparams([f"--{option}", "a #2"], RECIPE).plain
    assert plain["frontend_options"] == {"mel": {"path": "a #2"}}


@pytest.mark.parametrize(("word", "value"), [("-1", -1), ("1e-3", 0.001), ("3", 3), ("+.5", 0.5)])
def test_numbers_may_be_negative_and_have_exponents(word, value):
    assert load("--weight_decay", word).plain["weight_decay"] == value


def test_what_is_given_wins_over_the_row_and_the_row_over_the_default():
    row, config = ROWS["bcresnet_paper"], load("--experiment", "bcresnet_paper", "--lr", 0.5)
    assert row["lr"] != 0.5 and config.plain["lr"] == 0.5
    assert config.plain["optimizing"] == row["optimizing"] != shipped_defaults(RECIPE)["optimizing"]
    assert "about" not in config.plain and "recipe" not in config.plain
    more = load("--experiment", "bcresnet_paper", "--frontend_options.mel.num_features", 20)
    assert more.plain["frontend_options"]["mel"] == {
        **row["frontend_options"]["mel"],
        "num_features": 20,
    }


# -- unknown names -----------------------------------------------------------------------------------


def test_everything_that_is_wrong_comes_in_one_message():
    words = ["--frontent", "leaf", "--lr", "fast", "--frontend_options.leaf.num_feature", 3]
    words += ["--encoder", "linaer", "--schedule", "cosin", "--precision", "fp8"]
    error = refused("^6 problems in the configuration:\n  - ", load, *words, error=ConfigError)
    found = error.problems
    assert len(found) == 6
    for expected in (
        r"--frontent: .*did you mean 'frontend'",
        r"lr must be a number \(default 0.005\), got 'fast'",
        r"frontend_options\.leaf\.num_feature: .*did you mean 'num_features'\?",
        r"no encoder is called 'linaer'; did you mean 'linear'\?",
        r"schedule must be one of .*'constant', .*'cosin'",
        r"--precision must be one of fp32, fp16, bf16, got 'fp8'",
    ):
        assert any(re.search(expected, problem) for problem in found), expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--number_of_epoch", "3"], r"'number_of_epoch'; did you mean 'number_of_epochs'"),
        (["--zzz", "3"], r"--zzz: no key or option is called 'zzz'\.$"),
        (["--zzz.a.b", "3"], r"--zzz\.a\.b: no key"),
        (["--lr.x", "3"], r"lr must be a number"),
        (["--official_test_folder.x", "3"], r"must be a single value"),
        (["--frontend_options.mell.hop_ms", "3"], r"'mell'; did you mean 'mel'\?.*keyed by lobe"),
        (["--frontend_options.num_features", "3"], r"num_features: no frontend is .*keyed by lobe"),
        (["--encoder_options.linear.size", "3"], r"linear has no option 'size'.*none"),
        (["--frontend_options.mel.sample_rate", "8000"], r"set by the YAML as a whole"),
        (["--frontend_options", "mel"], r"must map lobe names to their options, got 'mel'"),
        (["--frontend_options.mel", "3"], r"frontend_options\.mel must map option names"),
        (["--frontend", "lea"], r"no frontend is called 'lea'; did you mean 'leaf'\?.*load_plugin"),
        (["--protocol", "v2-12"], r"v2-12-official"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(words, expected):
    assert re.search(expected, only_problem(*words))


def test_options_of_a_lobe_that_is_not_selected_are_checked_and_kept_apart():
    words = ["--frontend", "mel", "--encoder", "linear"]
    assert "'hop'" in only_problem(*words, "--frontend_options.leaf.hop", 3)
    built = load(*words, "--frontend_options.leaf.num_features", 20).build()
    assert built["model"].compute_features.num_features == 40


@pytest.mark.parametrize("key", ["model.frontend", "model", "mixup.alpha"])
def test_what_is_built_from_other_keys_is_not_overridden(key):
    """`--model.frontend mel` would train mel and write leaf into the results."""
    assert "is built from other keys" in only_problem(f"--{key}", "3")


# -- kinds of values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("number_of_epochs", "2.5", "a whole number"),
        ("number_of_epochs", "many", "a whole number"),
        ("number_of_epochs", "true", "a whole number"),
        ("batch_size", "[64]", "a whole number"),
        ("lr", "null", "a number"),
        ("lr", "0,1", "a number"),
        ("lr", "{a: 1}", "a number"),
        ("fresh", "1", "true or false"),
        ("fresh", "maybe", "true or false"),
        ("betas", "0.9", "a list"),
        ("betas", "[a, b]", "a list, each a number"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(key, value, expected, own_yaml):
    found = only_problem(f"--{key}", value)
    assert found.startswith(f"{key} must be {expected} (default "), found
    check_in_a_file(own_yaml, key, value, expected)


@pytest.mark.parametrize(("key", "value"), [("protocol", "[v2-35]"), ("results_folder", "7")])
def test_text_in_a_yaml_is_yaml(key, value, own_yaml):
    check_in_a_file(own_yaml, key, value, "text")


def check_in_a_file(own_yaml, key, value, expected):
    default = re.search(rf"^{key}: ([^#\n]*[^#\s])", shipped(RECIPE).read_text(), re.M)[0]
    in_file = own_yaml((default, f"{key}: {value}"))
    assert only_problem(in_file).startswith(f"{key} must be {expected} (default ")


def test_values_outside_their_range_are_refused():
    found = problems("--lr", 0, "--batch_size", -1, "--warmup_epochs", 31, "--clip_s", 0)
    assert len(found) == 4
    assert "clip_s must be above 0" in found[-1]


@pytest.mark.parametrize(
    "option, value, said",
    [("hop_ms", "long", "frontend mel"), ("n_fft", "16", "n_fft=16 is shorter than the window")],
)
def test_an_option_that_a_builder_refuses_is_a_configuration_error(option, value, said):
    words = ["--frontend", "mel", f"--frontend_options.mel.{option}", value, "--encoder=linear"]
    refused(said, load, *words, error=ConfigError)
    unchecked = load_hparams(words, "speech_commands")
    refused(r"speech_commands\.yaml cannot be built", unchecked.build, error=ConfigError)


# -- the command line --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["optimizer", "log", "dev", "noprogress", "ckpt_interval", "jit_mod"]
)
def test_abbreviations_of_run_options_are_not_swallowed(name):
    """SpeechBrain's argparse takes `--optimizer adamw` for `--optimizer_step_limit adamw`."""
    from dataclasses import fields

    from speechbrain.utils.run_opts import RunOptions

    assert any(field.name.startswith(name) for field in fields(RunOptions))
    assert f"no key or option is called {name!r}" in only_problem(f"--{name}", "adamw")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--lr"], "--lr needs a value"),
        (["--experiment"], "--experiment needs a value"),
        (["--plugin", "--seed", "3"], "--plugin needs a value"),
        (["--lr", "1", "2"], "--lr got 2 values"),
        (["--device"], "--device needs one value"),
        (["--test_only", "perhaps"], "--test_only is true or false"),
        (["--max_grad_norm", "big"], "--max_grad_norm must be a number"),
        (["--ckpt_interval_steps", "2.5"], "--ckpt_interval_steps must be a number"),
        (["--optimizer_step_limit", "x"], "--optimizer_step_limit must be a number"),
        (["--distributed_backend", "smoke"], "must be one of nccl, gloo, mpi"),
        (["--overridden_args", "x"], "no key or option is called 'overridden_args'"),
        (["--param_file", "x.yaml"], "no key or option is called 'param_file'"),
        (["--frontend_options", "{mel: {"], "is not a plain YAML value"),
        ([shipped(RECIPE), "stray"], "unexpected word 'stray'"),
        (["--plugin", "nowhere.py"], "Python file that exists"),
    ],
)
def test_a_malformed_command_line_is_refused(words, expected):
    assert expected in only_problem(*words)


def test_run_options_have_their_types():
    options = load(
        *("--max_grad_norm", "2", "--ckpt_interval_steps", "3", "--optimizer_step_limit", "9"),
        *("--test_only", "--debug=false", "--jit_module_keys", "a", "b", "--precision", "bf16"),
    ).run_opts
    assert (options.max_grad_norm, options.ckpt_interval_steps) == (2.0, 3)
    assert (options.optimizer_step_limit, options.jit_module_keys) == (9, ["a", "b"])
    assert (options.test_only, options.debug, options.precision) == (True, False, "bf16")


@pytest.mark.parametrize(
    "words",
    [
        ["--lr", "!apply:os.mkdir [{folder}]"],
        ["--frontend_options", "{{mel: !apply:os.mkdir [{folder}]}}"],
        ["--frontend_options.mel.hop_ms=!!python/object/apply:os.mkdir [{folder}]"],
    ],
)
def test_an_override_cannot_run_code(words, tmp_path):
    folder = tmp_path / "made"
    words = [word.format(folder=folder) for word in words]
    assert "is not a plain YAML value" in only_problem(*words)
    assert not folder.exists()


@pytest.mark.parametrize("tag", ["!apply:os.mkdir", "!new:os.mkdir"])
def test_a_tag_in_a_text_stays_text(tag, tmp_path):
    text = f"{tag} [{tmp_path}/made]"
    config = load("--data_folder", text, "--frontend", "mel", "--encoder", "linear")
    assert config.build()["data_folder"] == text
    assert not (tmp_path / "made").exists()


# -- somebody's own YAML -----------------------------------------------------------------------------


def test_values_of_an_own_yaml_are_what_is_checked_and_recorded(own_yaml):
    path = own_yaml(("\nlr: 0.005", "\nlr: 0.25"), ("encoder: bcresnet", "encoder: linear"))
    plain = load(path, "--seed", 4).plain
    assert (plain["lr"], plain["encoder"], plain["seed"]) == (0.25, "linear", 4)
    assert "schedule must be one of" in only_problem(own_yaml(("schedule: cosine", "schedule: x")))


def test_an_own_yaml_may_add_keys_that_it_refers_to(own_yaml):
    path = own_yaml(
        ("results_folder: results/speech_commands", "root: /r\nresults_folder: !ref <root>/x")
    )
    config = load(path, "--frontend", "mel", "--encoder", "linear", "--root", "/q")
    assert config.build()["output_folder"] == "/q/x/mel_linear/seed_1"


def test_an_own_yaml_with_missing_and_stray_keys_says_all_of_it(own_yaml):
    path = own_yaml(("schedule: ", "shedule: "), ("protocol: ", "# "), ("\nlr: 0.005", "\nlr: x"))
    found = problems(path, "--frontend", "mell")
    assert "own.yaml: shedule is no key of this recipe; did you mean 'schedule'?" in found
    assert "own.yaml: the key schedule is missing" in found
    assert "own.yaml: the key protocol is missing" in found
    assert "lr must be a number (default 0.005), got 'x'" in found
    assert any("'mell'" in problem for problem in found)
    assert len(found) == 5


@pytest.mark.parametrize(("key", "how"), [("device", "is"), ("log", "abbreviates")])
def test_a_key_that_speechbrain_would_take_for_its_own_is_refused(own_yaml, key, how):
    path = own_yaml(("seed: 1", f"seed: 1\n{key}: x\nuser: !ref <{key}>\nused: !ref <user><used>"))
    assert f"the YAML key {key} {how} SpeechBrain's run option" in only_problem(path)


def test_no_shipped_key_clashes_with_a_run_option():
    from dataclasses import fields

    from speechbrain.utils.run_opts import RunOptions

    names = [field.name for field in fields(RunOptions)]
    assert not [
        (key, name) for key in shipped_defaults(RECIPE) for name in names if name.startswith(key)
    ]


def test_a_placeholder_must_be_given(own_yaml):
    path = own_yaml(("data_folder: mini", "data_folder: !PLACEHOLDER"))
    assert only_problem(path) == "data_folder has no default: give --data_folder VALUE"
    assert load(path, "--data_folder", "/d").plain["data_folder"] == "/d"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a: [1", "is not YAML"),
        (b"a: 1\na: 2", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
        (b"- 1\n- 2", "must be a map"),
        (b"", "must be a map"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path, content, expected):
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    assert expected in only_problem(path)


def test_a_missing_file_is_named(tmp_path):
    assert f"no such file: {tmp_path}/x.yaml" in only_problem(tmp_path / "x.yaml")


# -- experiments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_every_shipped_experiment_is_valid_and_builds(name, tmp_path):
    row = ROWS[name]
    assert row["recipe"] in RECIPES and row["about"]
    words = ["--experiment", name, "--results_folder", str(tmp_path)]
    config = load_hparams(words, row["recipe"], RECIPES[row["recipe"]])
    for key, value in row.items():
        assert key in ("recipe", "about") or config.plain[key] == value
    model = config.build()["model"]
    assert model.compute_features.registered_name == config.plain["frontend"]
    assert model.embedding_model.registered_name == config.plain["encoder"]


def test_a_wrong_row_is_refused_like_a_wrong_command_line(tmp_path, monkeypatch):
    from auricle.hparams import loader

    rows = tmp_path / "experiments.yaml"
    rows.write_text("a: {recipe: speech_commands, lrr: 1, lr: x}\nb: {recipe: timit}\n")
    monkeypatch.setattr(
        loader, "shipped", lambda name: rows if name == "experiments" else shipped(name)
    )
    found = problems("--experiment", "a")
    assert any("lrr: unknown key; did you mean 'lr'" in problem for problem in found)
    assert any("experiment a: lr must be a number" in problem for problem in found)
    assert "belongs to another recipe" in only_problem("--experiment", "b")


def test_an_unknown_experiment_is_refused_with_the_nearest():
    found = only_problem("--experiment", "dmeo")
    assert "'dmeo'; did you mean 'demo'?" in found and "bcresnet_paper" in found


# -- what is built -----------------------------------------------------------------------------------


@pytest.mark.parametrize("frontend", FRONTENDS.names())
def test_the_shipped_yaml_builds_and_runs_with_every_frontend(frontend, tmp_path):
    built = load(
        *("--frontend", frontend, "--encoder", "linear", "--clip_s", "0.1"),
        *("--results_folder", tmp_path, "--normalization", "auto"),
    ).build()
    wavs = 0.1 * torch.randn(2, 1600, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([1.0, 0.5])
    embedding = built["model"](wavs, lengths)
    assert embedding.shape == (2, built["model"].embedding_model.out_features)
    assert torch.isfinite(embedding).all()


def test_a_yaml_with_the_objects_of_an_earlier_auricle_says_what_to_replace(tmp_path):
    text = shipped(RECIPE).read_text()
    old = tmp_path / "old.yaml"
    old.write_text(text.split("model: !apply")[0] + "modules: {}\n")
    problem = only_problem(str(old))
    assert "old.yaml" in problem and "`modules`" in problem and "`model`" in problem


# -- the recipe's command line -----------------------------------------------------------------------


def never(config):
    raise AssertionError("a wrong configuration must not reach the training")


def test_help_prints_keys_and_ends_well(capsys):
    assert runner.run_recipe(RECIPE, never, CHECKS[1:], ["own.yaml", "--help"]) == 0
    assert runner.run_recipe(RECIPE, never, CHECKS[1:], ["-h"]) == 0
    printed = capsys.readouterr().out
    hidden = shipped(RECIPE).read_text().split("# objects")[1]
    for key in shipped_defaults(RECIPE):
        assert (f"  {key}: " in printed) == (f"\n{key}:" not in hidden), key
    assert "!apply" not in printed


def test_a_wrong_configuration_ends_with_status_2_and_one_message(capsys):
    assert runner.run_recipe(RECIPE, never, CHECKS[1:], ["--lrr", "1", "--frontend", "x"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("auricle: 2 problems in the configuration:")
    assert "Traceback" not in printed.err and not printed.out


@pytest.mark.slow
def test_the_script_refuses_a_wrong_option_without_a_traceback(tmp_path):
    script = shipped(RECIPE).parents[1] / "recipes" / RECIPE / "train.py"
    done = subprocess.run(
        [sys.executable, str(script), "--optimizer", "adamw"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "did you mean 'optimizing'" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())

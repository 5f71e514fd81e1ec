"""Results files and their tables: complete, strict, anonymous, and never mixed."""

import json
import re
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refused
from run_results import COMPLETE, run_result

from auricle.processing.scoring.classification import ConfusionCounts
from auricle.recipes.reports import results as results_module
from auricle.recipes.reports.columns import load_bench
from auricle.recipes.reports.results import (
    RunResult,
    describe_device,
    git_commit,
    load_results,
)
from auricle.recipes.reports.tables import (
    BEGIN,
    END,
    group_results,
    markdown_table,
    markdown_tables,
    update_readme,
)

MINI = {"name": "mini", "synthetic": True, "complete": True}
# the list of DESIGN section 3, and corpus, epochs, started
FIELDS = set(
    "task dataset protocol data_digest counts frontend encoder options seed params metrics wall_s "
    "audio_s_per_s device versions git_commit corpus epochs started filters experiment memory".split()
)


def run(accuracy=0.9, **changes):
    test = {
        "accuracy": accuracy,
        "macro_f1": accuracy - 0.01,
        "n": 4890,
        "interval": {
            "accuracy": [accuracy - 0.02, accuracy + 0.015],
            "macro_f1": None,
            "over": "speaker",
        },
    }
    metrics = {"valid": {"accuracy": 0.91}, "test": test}
    return run_result(**{"metrics": metrics, **changes})


def seeds(*accuracies, **changes):
    return [run(accuracy, seed=seed, **changes) for seed, accuracy in enumerate(accuracies)]


def rows(table):
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


# ---- the file ------------------------------------------------------------------------------------


def test_written_and_read_back(tmp_path):
    result = run()
    path = result.write(tmp_path / "leaf_bcresnet" / "1")
    assert path.name == "results.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert set(record) == FIELDS
    assert load_results(path) == load_results(tmp_path) == [result]
    assert [file.name for file in path.parent.iterdir()] == ["results.json"]


def test_displacement_goes_into_the_file_and_older_files_are_still_read(tmp_path):
    moved = {"count": 40, "centre_shift_hz": 3.2, "divergence": np.float64(0.01)}
    path = run(filters=moved).write(tmp_path)
    record = json.loads(path.read_text())
    assert record["filters"] == moved and load_results(path)[0].filters == moved
    del record["filters"]
    path.write_text(json.dumps(record))
    (older,) = load_results(path)
    assert older.filters is None and older == run()


def test_a_real_summary_goes_into_the_file(tmp_path):
    counts = ConfusionCounts(["no", "yes"])
    true = np.arange(40) % 2
    counts.append([f"u{i}" for i in range(40)], true, np.where(np.arange(40) % 7, true, 1 - true))
    summary = counts.summarize()
    [read] = load_results(
        run(metrics={"valid": {"loss": 1.0}, "test": summary}).write(tmp_path / "a")
    )
    assert read.metrics["test"] == summary
    low, high = (100 * bound for bound in summary["interval"]["accuracy"])
    text = f"{100 * summary['accuracy']:.1f} ({low:.1f} to {high:.1f})\\*"
    assert rows(markdown_table([read]))[2][2] == text


def test_versions_commit_and_device_are_collected():
    values = run().to_dict()
    del values["versions"], values["git_commit"]
    result = RunResult(**values)
    assert set(result.versions) == {"auricle", "torch", "torchaudio", "speechbrain", "python"}
    assert torch.__version__.startswith(result.versions["torch"])
    assert re.fullmatch(r"3\.\d+\.\d+.*", result.versions["python"])
    assert result.git_commit == git_commit()
    assert describe_device("cpu") == f"cpu ({torch.get_num_threads()} threads)"


def test_commit_of_a_tree_and_of_none(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", *who, "-C", str(tmp_path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert (results_module._SOURCE_TREE / "setup.cfg").is_file(), (
        "a clone's commit is looked for there"
    )
    assert git_commit(tmp_path) is None  # no checkout
    git("init", "-q")
    assert git_commit(tmp_path) is None  # no commit yet
    (tmp_path / "lobe.py").write_text("1")
    git("add", "lobe.py")
    git("commit", "-q", "-m", "one")
    head = git("rev-parse", "HEAD")
    assert git_commit(tmp_path) == head
    (tmp_path / "lobe.py").write_text("2")
    assert git_commit(tmp_path) == head + "+dirty"
    git("checkout", "-q", "lobe.py")
    (tmp_path / "new_lobe.py").write_text("3")
    assert git_commit(tmp_path) == head + "+dirty"  # a file not yet tracked changes results too
    (tmp_path / "inside").mkdir()
    assert git_commit(tmp_path / "inside") is None  # somebody else's repository around it


def test_numbers_of_any_library_become_plain(tmp_path):
    options = {"tau": np.float32(1.5), "dims": (np.int64(3), torch.tensor(4)), "on": np.bool_(True)}
    result = run(options=options, wall_s=torch.tensor(3.5))
    assert result.options == {"tau": 1.5, "dims": [3, 4], "on": True}
    assert load_results(result.write(tmp_path)) == [result]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("/data/corpora/speech_commands", "speech_commands"),
        ("/data/corpora/", "corpora"),
        ("~/runs/best.ckpt", "best.ckpt"),
        ("C:\\data\\sc", "sc"),
        ("--plugin=/home/someone/my_lobe.py --x 1", "--plugin=my_lobe.py --x 1"),
        ("file:///tmp/a/b.wav", "b.wav"),
        (Path("/srv/models/weights"), "weights"),
        (Path("models/weights"), "models/weights"),
        ("yes/0a7c2a8d_nohash_0.wav", "yes/0a7c2a8d_nohash_0.wav"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("km/h, and / or", "km/h, and / or"),
    ],
)
def test_folders_of_the_machine_are_cut(given, kept, tmp_path):
    result = run(options={"source": given, "many": [given]})
    assert result.options == {"source": kept, "many": [kept]}


@pytest.mark.parametrize(
    ("host", "kept"), [("node-17.cluster", "cpu of <host>"), ("leaf", "cpu of leaf")]
)
def test_the_machine_is_not_named(host, kept, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    result = run(device=f"cpu of {host}")
    assert (result.device, result.frontend) == (kept, "leaf")


def test_keys_that_become_one_are_refused():
    refused("'x.wav'", run, counts={"/a/x.wav": 1, "/b/x.wav": 2})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"metrics": {"valid": {"loss": 1}, "test": {"accuracy": float("nan")}}},
            "accuracy is nan",
        ),
        ({"metrics": {"valid": {"loss": float("inf")}, "test": {"a": 1}}}, "valid.loss is inf"),
        ({"metrics": {"test": {"accuracy": 0.9}}}, "metrics.valid is missing"),
        ({"metrics": {"valid": {"loss": 1}, "test": {}}}, "metrics.test"),
        ({"params": {"frontend": 1, "encoder": 2}}, "frontend, encoder, head"),
        ({"params": {"frontend": 1, "encoder": 2, "head": -1}}, "frontend, encoder, head"),
        ({"corpus": {"name": "mini", "complete": True}}, "synthetic"),
        ({"corpus": {"name": "mini", "synthetic": True}}, "complete"),
        ({"corpus": "mini"}, "corpus is 'mini'.*dict"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"seed": True}, "seed is True"),
        ({"epochs": -1}, "epochs is -1"),
        ({"wall_s": -3.0}, "wall_s is -3.0"),
        ({"audio_s_per_s": None}, "audio_s_per_s is None"),
        ({"started": "yesterday"}, "started is 'yesterday'"),
        ({"frontend": ""}, "frontend is ''"),
        ({"protocol": {}}, "protocol is {}"),
        ({"options": {3: 1}}, "key 3"),
        ({"options": {"loss": object()}}, "options.loss is a object"),
        ({"git_commit": "main"}, "git_commit is 'main'"),
        ({"filters": [1.0]}, r"filters is \[1.0\].*numbers"),
        ({"git_commit": 10**9}, "git_commit is 1000000000"),
        ({"corpus": {"name": "a", "synthetic": True, "overlap": {"a": "b"}}}, "corpus is"),
        ({"metrics": {"valid": {"a": 1}, "test": {"a": 1, "n": "9"}}}, "metrics.test.n is '9'"),
        ({"metrics": {"valid": {"a": 1}, "test": {"a": 1, "interval": {"a": 3}}}}, "interval is"),
        ({"filters": {"centre_shift_hz": "3 Hz"}}, "filters is {'centre_shift_hz': '3 Hz'}"),
    ],
)
def test_incomplete_records_are_refused(changes, message):
    refused(message, run, **changes)


def test_all_faults_are_named_at_once():
    wrong = {"seed": "x", "epochs": None, "started": "now"}
    refused("(?s)seed is 'x'.*epochs is None.*started is 'now'", run, **wrong)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    run(0.5).write(tmp_path)

    def full_disk(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(results_module.os, "fsync", full_disk)
    refused("no space", run(0.9).write, tmp_path, error=OSError)
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
    assert load_results(tmp_path)[0].metrics["test"]["accuracy"] == 0.5


# ---- reading -------------------------------------------------------------------------------------


def test_bad_files_are_all_named(tmp_path):
    good = json.dumps(run().to_dict())
    texts = {
        "cut": good[:200],
        "nan": good.replace("240.0", "NaN"),
        "list": "[1, 2]",
        "missing": json.dumps({k: v for k, v in run().to_dict().items() if k != "seed"}),
        "unknown": json.dumps({**run().to_dict(), "host": "x"}),
        "wrong": good.replace('"epochs": 30', '"epochs": "30"'),
    }
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(text)
    (tmp_path / "empty").mkdir()
    paths = [tmp_path, tmp_path / "empty", tmp_path / "not_there"]
    message = str(refused("", load_results, paths))
    for expected in (
        r"cut.results.json, line \d+: not JSON",
        r"nan.results.json: holds NaN",
        r"list.results.json: holds no record",
        r"missing.results.json.*\['seed'\]",
        r"unknown.results.json: .*not known \['host'\]",
        r"(?s)wrong.results.json: .*epochs is '30'",
        r"empty: no results.json",
        r"not_there: no such file",
    ):
        assert re.search(expected, message), expected


def test_a_file_named_twice_is_read_once_and_no_path_is_refused(tmp_path, monkeypatch):
    path = run().write(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    assert len(load_results([tmp_path, path, str(path), "a/results.json", "a"])) == 1
    refused("no path given", load_results, [])


# ---- tables --------------------------------------------------------------------------------------


def test_rows_are_means_over_seeds_with_their_interval():
    table = markdown_table([*seeds(0.90, 0.92, 0.94), run(0.85, frontend="mel", wall_s=30.0)])
    header, rule, leaf, mel = rows(table)
    assert header[:4] == ["frontend", "encoder", "accuracy (%)", "macro F1 (%)"]
    # mean 92, deviation 2, t(2) = 4.303: 4.303 * 2 / sqrt(3) = 4.97
    assert leaf == [
        "`leaf`",
        "`bcresnet`",
        "92.0 ± 5.0",
        "91.0 ± 5.0",
        "3",
        "9,600 (400 + 8,000 + 1,200)",
        "30",
        "4 min",
    ]
    assert mel[2:5] == ["85.0 (83.0 to 86.5)\\*", "84.0 (no interval)\\*", "1"]
    assert mel[-1] == "30 s"
    assert len(rule) == len(header) and rule[2] == "---:"
    assert "t interval over seeds" in table and "over the test set's speakers" in table


def test_options_make_rows_and_appear_when_there_are_any():
    wide = {"encoder": {"bcresnet": {"tau": 2}}, "loss": "a|b"}
    table = markdown_table([run(), run(options=wide, seed=1)])
    assert [row[2] for row in rows(table)[2:]] == [
        "",
        "`encoder.bcresnet.tau=2`<br>`loss=a\\|b`",
    ]
    assert "options" not in rows(markdown_table([run()]))[0]


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "v2-12-hash"},
        {"protocol": {"name": "v2-12-official", "silence": "zeros"}},
        {"data_digest": "fedcba9876543210"},
        {"dataset": "timit"},
        {"task": "sorting"},
        {"corpus": MINI},
        {"corpus": {**COMPLETE, "complete": False}},
        {"corpus": {**COMPLETE, "name": "other"}},
    ],
)
def test_results_of_different_kinds_never_share_a_table(change):
    mixed = [run(), run(seed=2, **change)]
    refused("one table", markdown_table, mixed)
    groups = group_results(mixed)
    assert sorted(len(group) for group in groups) == [1, 1]
    text = markdown_tables(mixed)
    assert text.count("| frontend |") == text.count("\n### ") + 1 == 2


def test_what_differs_is_named():
    refused("(?s)v2-12-hash.*v2-12-official", markdown_table, [run(), run(protocol="v2-12-hash")])


def test_headings_say_what_the_numbers_are_worth():
    assert "synthetic mini corpus, not a benchmark result" in markdown_tables([run(corpus=MINI)])
    partial = markdown_tables([run(corpus={**COMPLETE, "complete": False})])
    assert "(incomplete)" in partial and "not comparable with published results" in partial
    whole = markdown_tables([run()])
    assert "synthetic" not in whole and "not comparable" not in whole and "(complete)" in whole
    unknown = markdown_tables([run(corpus={**COMPLETE, "complete": None})])
    assert "completeness not known" in unknown


def test_provenance_lists_what_differs_between_the_runs():
    text = markdown_tables(
        [
            run(seed=1),
            run(seed=2, git_commit="b" * 40 + "+dirty", device="NVIDIA H200"),
            run(seed=3, git_commit=None, started="2026-02-02T00:00:00Z"),
        ]
    )
    assert "Code: `aaaaaaaaaa`, `bbbbbbbbbb` with changes, commit not known." in text
    assert "Device: NVIDIA H200, cpu (2 threads)." in text
    assert "Trained: 2026-01-31 to 2026-02-02." in text
    assert "Data digest: `0123456789abcdef`." in text and "Test items: 4,890." in text
    assert "Versions: auricle 0.1.0, torch 2.11.0." in text


def test_what_splits_share_is_told_above_every_table():
    corpus = {"name": "sc", "synthetic": False, "complete": False}
    shared = {"left out of train: speakers of test": 1516, "kept in valid: speakers of test": 2}
    text = markdown_tables([run(corpus={**corpus, "overlap": shared})])
    assert "1,516 left out of train: speakers of test; 2 kept in valid" in text
    assert "share" not in markdown_tables([run(corpus=corpus)])


def test_order_of_the_results_changes_nothing():
    mixed = [*seeds(0.90, 0.92), run(frontend="mel"), run(corpus=MINI), run(encoder="linear")]
    assert markdown_tables(mixed[::-1]) == markdown_tables(mixed)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([], "no results"),
        ([run(), run(0.8)], r"seed \[1\]"),
        (
            [run(), run(seed=2, params={"frontend": 1, "encoder": 1, "head": 1})],
            "different numbers of parameters",
        ),
        ([run(metrics={"valid": {"loss": 1.0}, "test": {"eer": 0.1}})], "no number 'accuracy'"),
    ],
)
def test_rows_that_would_mislead_are_refused(results, message):
    for table in (markdown_table, markdown_tables):
        refused(message, table, results)


def test_other_scores_are_shown_as_they_are():
    test = {"mine": 0.1234, "interval": {"mine": [0.11, 0.14], "over": "utterance"}}
    table = markdown_table([run(metrics={"valid": {"mine": 0.1}, "test": test})], columns=["mine"])
    assert rows(table)[2][2] == "0.123 (0.110 to 0.140)\\*"


def test_an_experiment_has_a_table_of_its_own_and_says_shared_options_once():
    shared = {"lr": 0.001, "number_of_epochs": 8}
    older = run(options=shared)
    assert older.experiment is None
    new = [
        run(experiment="levers", options=shared),
        run(experiment="levers", options={**shared, "frontend_step_hz": 5.0}),
    ]
    assert sorted(map(len, group_results([older, *new]))) == [1, 2]
    refused("2 kinds", markdown_table, [older, *new])
    table = markdown_table(new)
    assert [row[2] for row in rows(table)[2:]] == ["", "`frontend_step_hz=5.0`"]
    assert "All with `lr=0.001`, `number_of_epochs=8`." in table
    text = markdown_tables([older, *new])
    assert "experiment `levers`" in text and text.count("\n| frontend") == 2
    assert "All with" not in markdown_table([older, run(frontend="mel", options=shared)])


def test_experiment_is_a_name_or_nothing():
    refused("experiment is ''", run, experiment="")


def test_displacement_is_a_mean_over_runs_and_empty_for_what_cannot_move():
    moved = [{"centre_shift_hz": hz, "centre_shift_erb": 0.1, "divergence": 0.2} for hz in (2, 4)]
    fixed = {"frontend": 0, "encoder": 8000, "head": 1200}
    still = {"centre_shift_hz": 0.0, "centre_shift_erb": 0.0, "divergence": 0.0}
    results = [run(seed=seed, filters=filters) for seed, filters in enumerate(moved)]
    results += [run(frontend="mel", params=fixed, filters=still), run(frontend="waveform")]
    table = rows(markdown_table(results, columns=["centre_shift_hz", "divergence", "seeds"]))
    assert table[0] == ["frontend", "encoder", "centres moved (Hz)", "divergence", "seeds"]
    assert [row[2:4] for row in table[2:]] == [["3.0", "0.2000"], ["", ""], ["", ""]]
    # a column without a single value is left out
    table = rows(markdown_table(results[2:], columns=["centre_shift_hz", "seeds"]))
    assert table[0] == ["frontend", "encoder", "seeds"]


def test_times_come_from_the_bench_by_frontend_and_options(tmp_path):
    path = tmp_path / "bench.json"
    times = {"forward": 5.06, "forward_backward": 13.29}
    rows_of = [
        {"frontend": "leaf", "options": {}, **times},
        {"frontend": "leaf", "options": {"init": "bark"}, "forward": 1.0, "forward_backward": 2.0},
    ]
    path.write_text(json.dumps({"reference": "mel", "rows": rows_of}))
    bench = load_bench(path)
    results = [run(), run(options={"frontend_options": {"init": "bark"}}), run(frontend="mine")]
    table = rows(markdown_table(results, columns=["forward", "forward_backward"], bench=bench))
    assert table[0][3:] == ["forward / `mel`", "forward + backward / `mel`"]
    assert [row[3:] for row in table[2:]] == [["5.1", "13.3"], ["1.0", "2.0"], ["", ""]]
    assert len(rows(markdown_table(results, columns=["forward", "seeds"]))[0]) == 4  # no bench


def speaker_run(seed, eer, low, high, **changes):
    test = {"eer": eer, "min_dcf_0.01": 0.9, "interval": {"eer": [low, high], "over": "speaker"}}
    return run(
        task="speaker_verification",
        encoder="ecapa",
        seed=seed,
        metrics={"valid": {"eer": eer}, "test": test},
        **changes,
    )


def test_scores_are_those_of_the_task_with_the_interval_of_the_test_set():
    table = rows(
        markdown_table([speaker_run(1, 0.10, 0.08, 0.13), speaker_run(2, 0.12, 0.1, 0.15)])
    )
    assert table[0][2:5] == ["EER (%)", "95 % interval over speakers", "minDCF(0.01)"]
    assert table[2][2].startswith("11.00 ± ") and table[2][3] == "9.00 to 14.00"


def test_a_models_speed_comes_from_the_bench_by_both_lobes_and_their_options(tmp_path):
    path = tmp_path / "models.json"
    speed = {"embeddings_per_s_1": 41.2, "embeddings_per_s_2": 80.0}
    options = {"frontend": {}, "encoder": {"channels": 64}}
    row = {"frontend": "leaf", "encoder": "ecapa", "options": options, **speed}
    path.write_text(json.dumps({"reference": "", "rows": [row]}))
    results = [
        speaker_run(1, 0.1, 0.08, 0.13, options={"encoder_options": {"channels": 64}}),
        speaker_run(1, 0.1, 0.08, 0.13),
    ]
    columns = ["embeddings_per_s_1", "embeddings_per_s_2"]
    table = rows(markdown_table(results, columns, load_bench(path)))
    assert [row[3:] for row in table[2:]] == [["", ""], ["41", "80"]]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"reference": 1, "rows": []}'])
def test_a_file_that_is_no_bench_is_refused(text, tmp_path):
    path = tmp_path / "bench.json"
    path.write_text(text)
    refused("bench", load_bench, path)


# ---- the README ----------------------------------------------------------------------------------


def test_readme_is_updated_once_and_checked(tmp_path):
    for result in seeds(0.90, 0.92, 0.94):
        result.write(tmp_path / "runs" / str(result.seed))
    readme = tmp_path / "README.md"
    readme.write_text(f"# auricle\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    said = r"(?s)README.*-old.*\+.*92\.0 ± 5\.0"
    refused(said, update_readme, readme, tmp_path / "runs", check=True)
    assert "old" in readme.read_text()  # a check writes nothing
    assert update_readme(readme, tmp_path / "runs") is True
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# auricle\n\n{BEGIN}\n\n### speech_commands, protocol")
    assert text.endswith(f"\n\n{END}\n\nAfter.\n") and "old" not in text
    assert update_readme(readme, tmp_path / "runs") is False
    assert update_readme(readme, tmp_path / "runs", check=True) is False
    readme.write_text(text.replace("92.0", "93.0"), encoding="utf-8")
    refused("does not show", update_readme, readme, tmp_path / "runs", check=True)


def test_line_ends_of_the_readme_are_kept(tmp_path):
    run().write(tmp_path / "runs")
    readme = tmp_path / "README.md"
    readme.write_bytes(f"a\r\n{BEGIN}\r\n{END}\r\nb".encode())
    update_readme(readme, tmp_path / "runs")
    data = readme.read_bytes()
    assert data.endswith(b"\r\nb") and data.count(b"\n") == data.count(b"\r\n") > 5


@pytest.mark.parametrize(
    "text",
    ["none", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}\n{END}\n{BEGIN}\n{END}", f"see `{BEGIN}`\n{END}"],
)
def test_readme_without_one_place_for_results_is_refused(text, tmp_path):
    run().write(tmp_path / "runs")
    readme = tmp_path / "README.md"
    readme.write_text(text)
    refused("must hold the line", update_readme, readme, tmp_path / "runs")
    assert readme.read_text() == text
    refused("no such file", update_readme, tmp_path / "other.md", tmp_path / "runs")


def test_a_readme_shows_the_robustness_suite_too(tmp_path):
    clean = {"system": "mel", "condition": "clean", "group": "clean", "eer": 0.1, "missing": ""}
    report = {
        "systems": {"mel": {}},
        "records": [{**clean, "interval": [0.08, 0.12]}],
        "comparisons": [],
        "sides": "test",
        "seed": 0,
        "trials": {
            "source": "mine.txt",
            "target": 3,
            "nontarget": 4,
            "recordings": 5,
            "digest": "ab" * 32,
        },
        "versions": {"auricle": "0", "torch": "2"},
        "interval": {"n_resamples": 9, "confidence": 0.95, "n_speakers": 2, "seed": 0},
    }
    folder = tmp_path / "results"
    run(seed=1).write(folder / "a")
    (folder / "subset").mkdir()
    file = folder / "subset" / "robustness.json"
    readme = tmp_path / "README.md"
    readme.write_text(f"x\n{BEGIN}\n{END}\n")
    file.write_text(json.dumps(report))
    assert update_readme(readme, folder)
    text = readme.read_text()
    assert "### Robustness of `mel` (`subset`)" in text and "10.00 (8.00 to 12.00)" in text
    file.write_text("{}")
    refused("no report of robustness", update_readme, readme, folder)


# ---- memory and speed ----------------------------------------------------------------------------


def test_memory_goes_into_the_file_and_older_files_are_still_read(tmp_path):
    memory = {"estimate_bytes": 2 * 2**30, "peak_bytes": 3 * 2**30}
    path = run(memory=memory).write(tmp_path)
    assert load_results(path)[0].memory == memory
    record = json.loads(path.read_text())
    del record["memory"]
    path.write_text(json.dumps(record))
    (older,) = load_results(path)
    assert older.memory is None and older == run()


@pytest.mark.parametrize(
    "memory", [{}, {"peak_bytes": 1}, {"estimate_bytes": 1.5, "peak_bytes": 1}, 7]
)
def test_memory_that_is_no_two_counts_is_refused(memory):
    refused("memory is .*estimate_bytes, peak_bytes", run, memory=memory)


def test_columns_of_memory_and_speed():
    columns = ["epoch_s", "songs_per_s", "peak_memory", "seeds"]
    heading = "songs of training/s, validation included"
    train = {"train": {"songs": 400}, "test": {"songs": 100}}
    measured = [
        run(seed=seed, counts=train, memory={"estimate_bytes": 2**30, "peak_bytes": peak})
        for seed, peak in ((1, 2 * 2**30), (2, 3 * 2**30))
    ]
    table = rows(markdown_table([*measured, run(seed=3, counts=train)], columns))
    assert table[0][2:] == ["time per epoch", heading, "peak memory", "seeds"]
    assert table[2][2:] == ["8.0 s", "50.0", "2.5 GiB", "3"]
    # A column without a single value is left out.
    assert rows(markdown_table([run()], columns))[0][2:] == ["time per epoch", "seeds"]


def test_a_row_of_numbers_is_one_line_and_nothing_else_changes():
    record = {
        "a": [[1, 2], [3, 4]],
        "b": {"c": "x\n [1,\n 2]", "d": []},
        "e": None,
        "f": [{"g": 1}],
    }
    text = results_module._readable(record)
    assert json.loads(text) == record
    assert "\n    [1, 2],\n    [3, 4]\n" in text and '"d": []' in text
    refused("", results_module._readable, {"a": float("nan")})

"""`auricle embed`, `score --trials`, `compare`, `calibrate`, `verify`: the real command line."""

import itertools
import json
import re
import shutil
from dataclasses import fields

import numpy as np
import pytest
import soundfile
import torch
from error_rates import eer
from random_bundle import random_bundle
from refusals import refused
from safetensors.numpy import save_file

from auricle.lobes import ENCODERS, load_plugin
from auricle.lobes.bundles import bundle as pretrained
from auricle.processing.scoring.verification.calibration import (
    Calibration,
    actual_dcf,
    cllr,
    fit_calibration,
)
from auricle.processing.scoring.verification.embedding_files import (
    read_embeddings,
    write_embeddings,
)
from auricle.processing.scoring.verification.embeddings import Embeddings, cosine_scores
from auricle.processing.scoring.verification.metrics import error_curve
from auricle.processing.scoring.verification.pair_scores import read_scored_trials
from auricle.processing.scoring.verification.plda import fit_plda, load_plda, plda_scores
from auricle.processing.scoring.verification.score_normalization import KINDS, normalized_scores
from auricle.processing.scoring.verification.speaker_bootstrap import HEADLINE, speaker_intervals
from auricle.processing.scoring.verification.trials import (
    FORMATS,
    TrialList,
    read_trials,
    write_trials,
)
from auricle.recipes import cli
from auricle.recipes.inference.calibration_files import read_calibration
from auricle.recipes.inference.options import System, TrialResults
from auricle.recipes.inference.trial_report import calibration_of
from auricle.recipes.inference.trial_scoring import Scored

RATE = 8000
PNG = b"\x89PNG\r\n\x1a\n"
TIMBRE = '''
import torch
from auricle.lobes import register_encoder
from auricle.lobes.contracts import Encoder

@register_encoder("timbre", paper="", source="")
class Timbre(Encoder):
    """The mean spectrum, less its mean: enough to tell coloured noises apart."""
    def __init__(self, in_features):
        super().__init__(in_features, in_features, output="utterance")
        self.scale = torch.nn.Parameter(torch.ones(in_features))
    def forward(self, feats, lengths=None):
        shares = torch.ones(len(feats)) if lengths is None else lengths
        valid = (shares * feats.shape[1]).round().long()
        mask = torch.arange(feats.shape[1])[None, :, None] < valid[:, None, None]
        mean = (feats * mask).sum(1, keepdim=True) / valid[:, None, None]
        return self.scale * (mean - mean.mean(-1, keepdim=True))
'''


def save_bundle(folder, task="speaker_verification", encoder="timbre", bands=12):
    return random_bundle(
        folder,
        "mel",
        encoder,
        ("id1", "id2"),
        task,
        sample_rate=RATE,
        clip_s=None,
        in_frames=101,
        normalization="none",
        frontend_options={"num_features": bands},
    )


def speak(path, speaker, take, seconds):
    """Noise through the speaker's own resonances, and a room that is another in every take."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spectrum = np.fft.rfft(
        np.random.default_rng([speaker, take]).normal(size=round(seconds * RATE))
    )
    grid = np.linspace(0, 5, len(spectrum))
    own = np.interp(grid, range(6), np.random.default_rng(speaker).normal(0, 1.0, 6))
    room = np.interp(grid, range(6), np.random.default_rng([9, speaker, take]).normal(0, 0.4, 6))
    wav = np.fft.irfft(spectrum * np.exp(own + room))
    soundfile.write(path, 0.3 * wav / np.abs(wav).max(), RATE)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A corpus of 24 voices, half of them for training, lists of the other half, a bundle."""
    folder = tmp_path_factory.mktemp("world")
    plugin = folder / "timbre.py"
    plugin.write_text(TIMBRE)
    load_plugin(plugin)
    names = {}
    for speaker in range(24):
        for take in range(4):
            name = f"id{speaker:02d}/v{take}/00001.wav"
            names.setdefault(speaker < 12, []).append(name)
            speak(folder / "audio" / name, speaker, take, 0.7 + 0.1 * ((speaker + take) % 3))
    tested, cohort = names[True], names[False]
    pairs = [(a, b, a[:4] == b[:4]) for a, b in itertools.combinations(tested, 2)]
    write_trials(folder / "all.txt", TrialList.from_pairs(pairs))
    write_trials(folder / "kaldi.txt", TrialList.from_pairs(pairs), "kaldi")
    held_out = [(a, b, a[:4] == b[:4]) for a, b in itertools.combinations(cohort, 2)]
    write_trials(folder / "dev.txt", TrialList.from_pairs(held_out))
    (folder / "cohort.txt").write_text("\n".join(cohort) + "\n")
    save_bundle(folder / "bundle")
    embed = ["embed", folder / "bundle", "--data_folder", folder / "audio"]
    for source, out in (
        (("--trials", "all.txt"), "test.safetensors"),
        (("--list", "cohort.txt"), "cohort.npz"),
    ):
        words = [*embed, source[0], folder / source[1], "--out", folder / out]
        cli.main([str(word) for word in words])
    yield folder
    ENCODERS.forget("timbre")


# -- embed and its files -----------------------------------------------------------------------------


def test_embeddings_are_the_bundles(world):
    found, about = read_embeddings(world / "test.safetensors")
    trials = read_trials(world / "all.txt")
    assert found.names == trials.names and found.vectors.shape == (48, 12)
    assert about["crops"] == 0 and len(about["model_digest"]) == 64
    bundle = pretrained.load(world / "bundle")
    for name, row in list(zip(found.names, found.vectors, strict=True))[:3]:
        wav = torch.from_numpy(soundfile.read(world / "audio" / name, dtype="float32")[0])
        with torch.no_grad():
            np.testing.assert_allclose(row, bundle.embed(wav[None])[0, 0], atol=2e-5)
    cohort, of = read_embeddings(world / "cohort.npz")
    assert cohort.names[0] == "id12/v0/00001.wav" and of["model_digest"] == about["model_digest"]


def test_embed_takes_names_and_crops(auricle, world, tmp_path):
    name = "id00/v0/00001.wav"
    words = ["embed", world / "bundle", name, "--data_folder", world / "audio", "--json"]
    status, text, _ = auricle(*words, "--out", tmp_path / "e.npz", "--crops", 2, "--crop_s", 0.5)
    facts = json.loads(text)
    assert status == 0 and (facts["recordings"], facts["dimensions"]) == (1, 12)
    assert (facts["crops"], facts["crop_s"]) == (2, 0.5)
    whole = read_embeddings(world / "test.safetensors")[0].vectors[0]
    crops = read_embeddings(tmp_path / "e.npz")[0].vectors[0]
    assert np.linalg.norm(crops) < 1 < np.linalg.norm(whole)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["id99/v0/00001.wav"], "'id99/v0/00001.wav'"),
        ([], "--list FILE"),
        (["a", "--trials", "t"], "by one of"),
        (["a", "--out", "e.pkl"], "the file ends in .safetensors or .npz"),
    ],
)
def test_embed_refuses(auricle, world, tmp_path, words, said):
    fixed = ["embed", world / "bundle", "--data_folder", world / "audio"]
    assert said in auricle.refusal(*fixed, "--out", tmp_path / "e.npz", *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_embedding_files_keep_everything(tmp_path, suffix):
    generator = np.random.default_rng(0)
    for dtype, shape in ((np.float32, (3, 5)), (np.float64, (3, 2, 5))):
        wanted = Embeddings(["é/1.wav", "b/2", "c"], generator.normal(size=shape).astype(dtype))
        path = write_embeddings(tmp_path / "new" / f"e{suffix}", wanted, {"crops": 2, "x": "ü"})
        found, about = read_embeddings(path)
        assert found.names == wanted.names and about == {"crops": 2, "x": "ü"}
        assert found.vectors.dtype == dtype and np.array_equal(found.vectors, wanted.vectors)
        assert [file.name for file in path.parent.iterdir()] == [path.name]
        (tmp_path / "any").touch()
        assert path.stat().st_mode == (tmp_path / "any").stat().st_mode
    path.write_bytes(path.read_bytes()[:-40])
    refused(f"e{suffix} is no", read_embeddings, path)


def test_embedding_files_of_others(tmp_path):
    path = tmp_path / "e.npz"
    np.savez(path, names=np.array(["a/1", "b/1"]), vectors=np.eye(2))
    found, about = read_embeddings(path)
    assert found.names == ("a/1", "b/1") and about == {}
    for arrays, said in (
        ({"names": np.array(["a", "b"], dtype=object), "vectors": np.eye(2)}, "not objects"),
        ({"vectors": np.eye(2)}, r"'names'.*\['vectors'\]"),
        ({"names": np.arange(2), "vectors": np.eye(2)}, "must be text"),
        ({"names": np.array(["a", "a"]), "vectors": np.eye(2)}, "e.npz: recording 'a'"),
        ({"names": np.array(["a", "b"]), "vectors": np.eye(3)}, r"shape \(3, 3\) for 2 names"),
        ({"names": np.array(["a", "b"]), "vectors": np.array(["x", "y"])}, "real numbers"),
    ):
        np.savez(path, **arrays)
        refused(said, read_embeddings, path)
    np.savez_compressed(path, names=np.array(["a", "b"]), vectors=np.zeros((2, 2**21)))
    refused("unpacks to 33554", read_embeddings, path)
    for names, said in (
        ("[" * 10**5, "in each other"),
        ("5", "list of text"),
        ("[1]", "list of text"),
    ):
        about = {"format": "auricle embeddings 1", "names": names}
        save_file({"vectors": np.eye(2)}, tmp_path / "e.safetensors", about)
        refused(f"no file of embeddings.*{said}", read_embeddings, tmp_path / "e.safetensors")


# -- score -------------------------------------------------------------------------------------------


def scored(auricle, world, *words, trials="all.txt", source=("--embeddings", "test.safetensors")):
    kind, file = source
    return auricle.json("score", "--trials", world / trials, kind, world / file, *words)


def by_embeddings(world):
    return ("score", "--trials", world / "all.txt", "--embeddings", world / "test.safetensors")


def score_lines(trials, scores):
    """A line of the two names and the score for each trial."""
    pairs = zip(trials.enroll, trials.test, scores.tolist(), strict=True)
    return [f"{trials.names[a]} {trials.names[b]} {score!r}" for a, b, score in pairs]


def labelled(lines, trials):
    kinds = ("target" if same else "nontarget" for same in trials.is_target)
    return [f"{line} {kind}" for line, kind in zip(lines, kinds, strict=True)]


def cosines(world):
    trials = read_trials(world / "all.txt")
    return trials, cosine_scores(trials, read_embeddings(world / "test.safetensors")[0])


@pytest.mark.slow
def test_the_report_has_the_rates_and_what_they_rest_on(auricle, world):
    trials, scores = cosines(world)
    curve = error_curve(scores.astype(float), trials.is_target)
    found = scored(auricle, world, "--seed", 3)
    assert 0.02 < found["eer"] < 0.35  # neither perfect nor chance
    assert found["eer"] == curve.eer()[0] and found["eer_max"] == curve.eer("max")[0]
    assert found["min_dcf"] == {"0.01": curve.min_dcf(0.01)[0], "0.05": curve.min_dcf(0.05)[0]}
    assert found["min_cllr"] == curve.min_cllr() and not {"cllr", "act_dcf"} & found.keys()
    assert found["trials"]["digest"] == trials.digest and found["counts"]["trials"] == 1128
    speakers = trials.speakers()
    expected = speaker_intervals(
        scores.astype(float),
        trials.is_target,
        speakers[trials.enroll],
        speakers[trials.test],
        seed=3,
    )
    assert {name: tuple(found["interval"][name]) for name in HEADLINE} == expected

    out = auricle.output(*by_embeddings(world))
    lines = out.splitlines()
    assert lines[0] == (
        f"all.txt (voxceleb, SHA-256 {trials.digest[:16]}): 1,128 trials, 72 target, 1,056 "
        "nontarget; 48 recordings"
    )
    assert lines[1].startswith("Scores: cosine, whole recordings; ")
    low, high = found["interval"]["eer"]
    assert lines[2].startswith(f"EER           {100 * found['eer']:.2f} % [")
    assert lines[2].endswith("(interpolated)") and low < found["eer"] < high
    assert [line.split()[0] for line in lines[3:6]] == ["minDCF(0.01)", "minDCF(0.05)", "minCllr"]
    assert "Not calibrated" in out and "over 12 speakers, 1000 resamples, seed 0" in lines[-1]
    assert "EER (max)" not in out
    shown = auricle.output(*by_embeddings(world), "--conventions", "--n_resamples", 0)
    assert f"EER (max)     {100 * found['eer_max']:.2f} %" in shown
    assert f"EER (average) {100 * found['eer_average']:.2f} %" in shown and "Interval" not in shown


@pytest.mark.slow
def test_a_bundle_and_a_folder_score_as_its_embeddings_do(auricle, world):
    by_file = scored(auricle, world, "--n-resamples", 0)
    by_bundle = scored(
        auricle, world, "--data_folder", world / "audio", "--n-resamples", 0,
        source=("--bundle", "bundle"), trials="kaldi.txt",
    )  # fmt: skip
    assert by_bundle["eer"] == pytest.approx(by_file["eer"], abs=1e-9)
    assert by_bundle["trials"]["format"] == "kaldi"
    assert by_bundle["scoring"]["model_digest"] == by_file["scoring"]["model_digest"]
    crops = scored(
        auricle, world, "--data_folder", world / "audio", "--crops", 3, "--crop_s", 0.4,
        "--n-resamples", 0, source=("--bundle", "bundle"),
    )  # fmt: skip
    assert crops["scoring"]["crops"] == 3 and crops["min_cllr"] != by_file["min_cllr"]


@pytest.mark.parametrize("norm", KINDS)
@pytest.mark.parametrize("by", ["speaker", "recording"])
def test_norms_and_mean_subtraction_are_the_librarys(auricle, world, norm, by, tmp_path):
    trials, _ = cosines(world)
    embeddings = read_embeddings(world / "test.safetensors")[0]
    cohort = read_embeddings(world / "cohort.npz")[0]
    mean, top = cohort.mean(), {"top_n": 5} if norm == "as" else {}
    if by == "speaker":
        cohort = cohort.by_speaker({name: name.split("/")[0] for name in cohort.names})
    expected = normalized_scores(trials, embeddings, cohort, norm, mean=mean, **top)
    words = ["--norm", norm, "--cohort", world / "cohort.npz", "--cohort_by", by]
    words += ["--mean_subtraction", "--save_scores", tmp_path / "s", "--n-resamples", 0]
    found = scored(auricle, world, *words, *(["--top_n", 5] if top else []))
    np.testing.assert_array_equal(read_scored_trials(tmp_path / "s")[1], expected)
    assert found["eer"] == eer(expected, trials.is_target)
    assert found["scoring"]["norm"] == norm and found["scoring"]["top_n"] == top.get("top_n")


def test_a_cohort_may_be_a_list_of_recordings_to_embed(auricle, world):
    words = ["--mean-subtraction", "--norm", "s", "--n-resamples", 0, "--cohort"]
    by_file = scored(auricle, world, *words, world / "cohort.npz")
    by_list = scored(
        auricle, world, *words, world / "cohort.txt", "--data_folder", world / "audio",
        source=("--bundle", "bundle"),
    )  # fmt: skip
    assert by_list["eer"] == pytest.approx(by_file["eer"], abs=1e-9)
    assert by_list["scoring"]["cohort"]["recordings"] == 48


def test_plda_is_trained_on_the_cohort_and_kept(auricle, world, tmp_path):
    trials, _ = cosines(world)
    cohort = read_embeddings(world / "cohort.npz")[0]
    speaker_of = {name: name.split("/")[0] for name in cohort.names}
    model = fit_plda(cohort, speaker_of, dimensions=8)
    expected = plda_scores(trials, read_embeddings(world / "test.safetensors")[0], model)
    words = ["--backend", "plda", "--plda", tmp_path / "m", "--n-resamples", 0]
    train = ["--cohort", world / "cohort.npz", "--plda_dim", 8]
    found = scored(auricle, world, *words, *train)
    assert found["eer"] == pytest.approx(eer(expected, trials.is_target), abs=1e-9)
    assert found["scoring"]["plda"]["speakers"] == 12
    assert load_plda(tmp_path / "m").about == model.about
    assert scored(auricle, world, *words)["eer"] == found["eer"]
    assert "--cohort" in auricle.refusal(*by_embeddings(world), *words, *train)


@pytest.mark.slow
def test_scores_of_any_system_in_any_order(auricle, world, tmp_path):
    trials, scores = cosines(world)
    lines = score_lines(trials, scores)
    (tmp_path / "kaldi").write_text("\n".join(lines[::-1]) + "\n")
    expected = scored(auricle, world)
    found = scored(auricle, world, source=("--scores", tmp_path / "kaldi"))
    assert (found["eer"], found["interval"]) == (expected["eer"], expected["interval"])
    (tmp_path / "wespeaker").write_text("\n".join(labelled(lines, trials)) + "\n")
    assert auricle.json("score", "--scores", tmp_path / "wespeaker")["eer"] == expected["eer"]
    brain = [" ".join([*line.split()[:2], str(int(y)), line.split()[2]]) for line, y in
             zip(lines, trials.is_target, strict=True)]  # fmt: skip
    (tmp_path / "speechbrain").write_text("\n".join(brain) + "\n")
    for words in ([], ["--trials", world / "all.txt"]):
        found = auricle.json("score", "--scores", tmp_path / "speechbrain", *words)
        assert found["eer"] == expected["eer"]


@pytest.mark.slow
def test_saved_scores_and_picture(auricle, world, tmp_path):
    found = scored(auricle, world, "--save_scores", tmp_path / "s", "--det", tmp_path / "d.png")
    assert (tmp_path / "d.png").read_bytes().startswith(PNG)
    assert found["files"] == {"scores": str(tmp_path / "s"), "det": str(tmp_path / "d.png")}
    again = scored(auricle, world, source=("--scores", tmp_path / "s"))
    assert again["eer"] == found["eer"]


@pytest.mark.slow
def test_names_without_a_speaker_are_scored_without_an_interval(auricle, world, tmp_path):
    trials, scores = cosines(world)
    flat = TrialList.from_pairs(
        (trials.names[a].replace("/", "_"), trials.names[b].replace("/", "_"), bool(y))
        for a, b, y in zip(trials.enroll, trials.test, trials.is_target, strict=True)
    )
    write_trials(tmp_path / "flat", flat)
    (tmp_path / "utt2spk").write_text("".join(f"{n} {n[:4]}\n" for n in flat.names))
    names = [
        name.replace("/", "_") for name in read_embeddings(world / "test.safetensors")[0].names
    ]
    vectors = read_embeddings(world / "test.safetensors")[0].vectors
    write_embeddings(tmp_path / "e.npz", Embeddings(names, vectors))
    words = ["score", "--trials", tmp_path / "flat", "--embeddings", tmp_path / "e.npz"]
    found = auricle.json(*words)
    assert found["interval"] is None and "--speakers FILE" in found["no_interval"]
    found = auricle.json(*words, "--speakers", tmp_path / "utt2spk")
    assert found["interval"] == scored(auricle, world)["interval"]
    (tmp_path / "utt2spk").write_text("a b\n")
    err = auricle.refusal(*words, "--speakers", tmp_path / "utt2spk")
    assert "utt2spk: " in err and "no speaker for 'id00_v0_00001.wav'" in err


# -- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--hyp FILE --ref FILE"),
        (["--trials", "t", "--hyp", "h"], "--hyp is for.*--trials"),
        (["--trials", "t", "--unit", "word"], "--unit is for transcripts"),
        (["--hyp", "h", "--ref", "r", "--norm", "s"], "--norm for verification trials"),
        (["--trials", "t"], "one of --embeddings FILE, .* got none of them"),
        (["--trials", "t", "--embeddings", "e", "--scores", "s"], "got --embeddings and --scores"),
        (["--embeddings", "e.npz"], "required: --trials"),
        (["--trials", "t", "--bundle", "b"], "--data-folder is missing"),
        (["--trials", "t", "--embeddings", "e", "--data_folder", "d"], "--bundle is missing"),
        (["--trials", "t", "--scores", "s", "--norm", "s"], "--norm is for embeddings"),
        (["--trials", "t", "--embeddings", "e", "--crops", 3], "--crops is for --bundle"),
        (["--trials", "t", "--embeddings", "e", "--norm", "as"], "need --cohort FILE"),
        (["--trials", "t", "--embeddings", "e", "--top_n", 3], "--norm as"),
        (["--trials", "t", "--embeddings", "e", "--cohort", "c"], "none was asked for"),
        (["--trials", "t", "--embeddings", "e", "--backend", "plda"], "needs --cohort"),
        (["--trials", "t", "--embeddings", "e", "--plda", "p"], "belong to --backend plda"),
        (
            ["--trials", "t", "--embeddings", "e", "--backend", "plda", "--norm", "s"],
            "are for cosine",
        ),
        (["--trials", "t", "--scores", "s", "--llrs", "--calibration", "c"], "not both"),
        (["--trials", "t", "--scores", "s", "--norm", "x"], "invalid choice: 'x'"),
    ],
)
def test_options_that_do_not_go_together(auricle, words, said):
    assert re.search(said, " ".join(auricle.refusal("score", *words).split()))


@pytest.mark.parametrize(
    ("lines", "words", "said"),
    [
        (["1 A B", "0 A C", "A B"], (), "t.txt, line 3 .*'A B'"),
        (["A B", "1 A C"], (), "t.txt, line 1 .*'A B'"),
        (["1 A B", "1 A B"], (), "t.txt .*all 2 .* target"),
        (["0 A C", "0 B C"], (), "t.txt .*all 2 .* non-target"),
        (["1 A B", "0 A no/body"], (), "t.txt, trial 2 .*'no/body'"),
        (["1 A B", "0 A 00001.wav"], ("--partial",), "an unknown recording '00001.wav'"),
        (["1 A B", "0 A C"], (), "t.txt .*3 of 48.*'id00/v2/00001.wav'"),
        (["1 A B", "0 A B"], (), "are one speaker in one trial and two in another"),
        ([], (), "t.txt holds no trial"),
    ],
)
def test_lists_that_are_refused_by_name(auricle, world, tmp_path, lines, words, said):
    short = {"A": "id00/v0/00001.wav", "B": "id00/v1/00001.wav", "C": "id01/v0/00001.wav"}
    lines = [" ".join(short.get(field, field) for field in line.split()) for line in lines]
    (tmp_path / "t.txt").write_text("\n".join(lines))
    said = said.replace("'A B'", f"'{short['A']} {short['B']}'")
    words = ("score", "--trials", tmp_path / "t.txt", *words)
    assert re.search(said, auricle.refusal(*words, "--embeddings", world / "test.safetensors"))


def test_partial_lists_are_scored_when_said(auricle, world, tmp_path):
    names = [f"id{s:02d}/v{k}/00001.wav" for s, k in ((0, 0), (0, 1), (1, 0), (1, 1))]
    lines = [f"{int(a[:4] == b[:4])} {a} {b}" for a, b in itertools.combinations(names, 2)]
    (tmp_path / "t").write_text("\n".join(lines) + "\n")
    found = scored(auricle, world, "--partial", trials=tmp_path / "t")
    assert found["counts"]["trials"] == 6 and found["counts"]["recordings"] == 4


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        (lambda rows: rows[:-1], (), r"trial 1128 of all.txt"),
        (lambda rows: [*rows, "a b 0.5"], (), "line 1129 .*'a'"),
        (lambda rows: [*rows, "a b 0.5"], ("--partial",), None),
        (lambda rows: [rows[0].replace(" ", "  ") + " nontarget", *rows[1:]], (), "line 1 and all"),
        (
            lambda rows: [*rows, " ".join([*rows[0].split()[:2], "0.5"])],
            (),
            "lines 1 and 1129",
        ),
        (lambda rows: ["nan".join(rows[0].rsplit(rows[0].split()[2], 1)), *rows[1:]], (), "is nan"),
        (lambda rows: [*rows[:4], "x y", *rows[5:]], (), "line 5 .*'x y'"),
        (
            lambda rows: [*rows, " ".join([rows[0].split()[1], rows[0].split()[0], "0.5"])],
            (),
            "line 1129",
        ),
        (lambda rows: ["a b 0.5", "a c 0.5"], ("--partial",), "no score"),
    ],
)
def test_score_files_that_do_not_fit_the_list(auricle, world, tmp_path, change, words, said):
    trials, scores = cosines(world)
    rows = score_lines(trials, scores)
    (tmp_path / "s").write_text("\n".join(change(rows)) + "\n")
    status, out, err = auricle(
        "score", "--trials", world / "all.txt", "--scores", tmp_path / "s", *words
    )
    if said is None:
        assert status == 0, err
    else:
        assert status == 2 and not out and re.search(said, err), err


def test_embeddings_and_cohorts_that_are_refused(auricle, world, tmp_path):
    found, about = read_embeddings(world / "test.safetensors")
    broken = found.vectors.copy()
    broken[7, 3] = np.nan
    np.savez(tmp_path / "nan.npz", names=np.array(found.names), vectors=broken)
    words = ("score", "--trials", world / "all.txt", "--embeddings")
    err = auricle.refusal(*words, tmp_path / "nan.npz")
    assert f"nan.npz: the embedding of '{found.names[7]}' holds NaN" in err
    status, _, err = auricle(*words, tmp_path / "none.npz")
    assert status == 2 and "no such file" in err
    words = (*words, world / "test.safetensors", "--norm", "s", "--cohort")
    for path, said in (
        (world / "test.safetensors", "in the trials"),
        (world / "cohort.txt", "--bundle"),
    ):
        assert said in auricle.refusal(*words, path)
    # other recordings of the test speakers, in other spellings
    for option, spelt in (("--partial", "./{}"), ("--fold-case", "./{}")):
        shout = str.upper if option == "--fold-case" else str
        names = [spelt.format(shout(name.replace("0000", "0009"))) for name in found.names]
        np.savez(tmp_path / "test.npz", names=names, vectors=found.vectors)
        assert "is of speaker 'id00'" in auricle.refusal(*words, tmp_path / "test.npz", option)
    cohort, _ = read_embeddings(world / "cohort.npz")
    write_embeddings(tmp_path / "other.npz", cohort, {**about, "model_digest": "0" * 64})
    assert "embeddings of another model" in auricle.refusal(*words, tmp_path / "other.npz")


# -- calibrate ---------------------------------------------------------------------------------------


@pytest.fixture
def calibration(auricle, world, tmp_path):
    """Fitted on trials of the training speakers."""
    words = ("calibrate", "--trials", world / "dev.txt", "--embeddings", world / "cohort.npz")
    out = auricle.output(*words, "--prior", 0.05, "--out", tmp_path / "new/c.json")
    assert "fitted with prior 0.05 on dev.txt (1,128 trials" in out
    return tmp_path / "new/c.json"


def test_a_calibration_says_what_it_was_fitted_on(world, calibration):
    held = json.loads(calibration.read_text())
    trials = read_trials(world / "dev.txt")
    scores = cosine_scores(trials, read_embeddings(world / "cohort.npz")[0]).astype(float)
    expected = fit_calibration(scores, trials.is_target, prior=0.05)
    assert held["scale"] == pytest.approx(expected.scale)
    assert held["threshold"] == pytest.approx(expected.threshold(0.05)) and held["prior"] == 0.05
    assert held["fitted_on"]["digest"] == trials.digest
    assert held["scoring"]["backend"] == "cosine" and held["scoring"]["norm"] == "none"


def test_calibrated_scores_have_actual_costs(auricle, world, calibration):
    trials, scores = cosines(world)
    held = json.loads(calibration.read_text())
    llrs = Calibration(held["scale"], held["offset"], held["prior"])(scores)
    plain, found = scored(auricle, world), scored(auricle, world, "--calibration", calibration)
    assert found["cllr"] == cllr(llrs, trials.is_target) and found["cllr"] >= found["min_cllr"]
    for p in ("0.01", "0.05"):
        assert found["act_dcf"][p] == actual_dcf(llrs, trials.is_target, float(p))
        assert found["act_dcf"][p] >= found["min_dcf"][p]
    # a rising map: nothing else changes, and thresholds are those of the scores as they came
    for key in ("eer", "eer_threshold", "min_cllr"):
        assert found[key] == pytest.approx(plain[key], rel=1e-6)
    assert found["min_dcf"] == plain["min_dcf"]
    assert found["calibration"]["fitted_on_this_list"] is False
    words = ("--embeddings", world / "cohort.npz", "--calibration", calibration)
    out = auricle.output("score", "--trials", world / "dev.txt", *words)
    assert "this very list" in out and "Cllr  " in out


def test_operating_points_are_those_asked_for(auricle, world, calibration):
    trials, scores = cosines(world)
    words = ("--p-target", "0.01,0.2", "--c-miss", "10", "--c-fa", "1,3", "--n-resamples", 0)
    found = scored(auricle, world, *words, "--calibration", calibration)
    curve = error_curve(scores, trials.is_target)
    for name, point in (("0.01,10,1", (0.01, 10, 1)), ("0.2,10,3", (0.2, 10, 3))):
        assert found["min_dcf"][name] == pytest.approx(curve.min_dcf(*point)[0])
        assert found["act_dcf"][name] >= found["min_dcf"][name]
    assert len(found["min_dcf"]) == 2
    words = by_embeddings(world)
    assert "--p-target has 2" in auricle.refusal(*words, "--p-target", "0.1,0.2", "--c-fa", "1,2,3")
    assert "p_target is 2" in auricle.refusal(*words, "--p-target", "2")


def test_the_calibration_of_the_bundle_is_used(world, calibration, tmp_path):
    trials, scores = cosines(world)
    shutil.copy(calibration, tmp_path / "calibration.json")
    how = json.loads(calibration.read_text())["scoring"] | {"file": str(tmp_path)}
    fitted, unused = calibration_of(Scored(trials, scores, how), TrialResults())
    assert fitted.calibration == read_calibration(calibration).calibration and unused is None
    assert calibration_of(Scored(trials, scores, how), TrialResults(llrs=True)) == (None, None)
    other = Scored(trials, scores, how | {"norm": "s"})
    fitted, unused = calibration_of(other, TrialResults())
    assert fitted is None and "not used" in unused and "norm" in unused


def test_scores_may_be_declared_likelihood_ratios(auricle, world, tmp_path):
    trials, scores = cosines(world)
    found = scored(auricle, world, "--llrs")
    assert found["cllr"] == cllr(scores, trials.is_target)


@pytest.mark.slow
def test_a_calibration_of_other_scores_is_refused(auricle, world, calibration, tmp_path):
    words = by_embeddings(world)
    norm = ["--norm", "s", "--cohort", world / "cohort.npz"]
    assert "norm none" in auricle.refusal(*words, *norm, "--calibration", calibration)
    crops = ("--bundle", world / "bundle", "--data_folder", world / "audio", "--crops", 2)
    err = auricle.refusal(*words[:3], *crops, "--crop_s", 0.5, "--calibration", calibration)
    assert "crops 0, these have 2" in err
    held = json.loads(calibration.read_text())
    held["scoring"]["model_digest"] = "0" * 64
    calibration.write_text(json.dumps(held))
    assert "model_digest" in auricle.refusal(*words, "--calibration", calibration)
    none = "c.json is no calibration"
    wrong = {
        "{": "c.json, line 1: not JSON",
        '{"format": 1}': none,
        '{"format": 2}': none,
        "[]": none,
    }
    for text, problem in wrong.items():
        calibration.write_text(text)
        assert problem in auricle.refusal(*words, "--calibration", calibration)
    err = auricle.refusal(*words, "--calibration", tmp_path / "missing.json")
    assert "no such calibration" in err
    assert "is a folder" in auricle.refusal("calibrate", *words[1:], "--out", tmp_path)
    err = auricle.refusal("calibrate", *words[1:], "--out", tmp_path / "c", "--prior", 1)
    assert "p_target is 1.0" in err


# -- compare -----------------------------------------------------------------------------------------


@pytest.fixture
def systems(world, auricle, tmp_path):
    """Score files: cosine, the same with another sign of a hundredth, and a much worse one."""
    trials, scores = cosines(world)
    paths, generator = {}, np.random.default_rng(0)
    for name, noise in (("good", 0.0), ("alike", 0.003), ("poor", 1.5)):
        values = scores + noise * generator.normal(size=len(scores))
        rows = labelled(score_lines(trials, values), trials)
        paths[name] = tmp_path / name
        paths[name].write_text("\n".join(generator.permutation(rows)) + "\n")
    return paths


@pytest.mark.slow
def test_compare_tells_a_worse_system_and_not_one_alike(auricle, world, systems):
    found = auricle.json("compare", systems["good"], systems["poor"])
    assert found["differ"] and found["difference"] < 0
    assert found["interval"][1] < 0 and found["p_value"] < 0.05 and found["n_speakers"] == 12
    assert found["a"] == scored(auricle, world)["eer"]
    assert found["verdict"].startswith("A errs less than B on these 1,128 trials of 12 speakers")
    words = ("--trials", world / "all.txt", "--metric", "min_dcf_0.05")
    out = auricle.output("compare", systems["poor"], systems["good"], *words)
    assert out.splitlines()[-1].startswith("B errs less than A")
    out = auricle.output("compare", systems["good"], systems["alike"], "--seed", 1)
    assert "do not differ measurably" in out.splitlines()[-1] and "seed 1" in out
    assert "tells them apart" in auricle.output("compare", systems["good"], systems["good"])


def test_compare_insists_on_the_same_trials(auricle, world, systems, tmp_path):
    rows = systems["good"].read_text().splitlines()
    (tmp_path / "b").write_text("\n".join(rows[:-1]) + "\n")
    assert "no score in b" in auricle.refusal("compare", systems["good"], tmp_path / "b")
    first = next(row for row in rows if row.endswith(" target"))
    flip = [row.replace(" target", " nontarget") if row is first else row for row in rows]
    (tmp_path / "b").write_text("\n".join(flip) + "\n")
    assert "disagree about" in auricle.refusal("compare", systems["good"], tmp_path / "b")
    (tmp_path / "b").write_text("\n".join(rows) + "\nid00/v0/00001.wav new/1 0.5 nontarget\n")
    err = auricle.refusal("compare", systems["good"], tmp_path / "b")
    assert "scores the recording 'new/1'" in err
    assert "missing" in auricle.refusal("compare", systems["good"], tmp_path / "missing")
    err = auricle.refusal("compare", systems["good"], systems["poor"], "--n_resamples", 0)
    assert "n_resamples is 0" in err


# -- verify ------------------------------------------------------------------------------------------


@pytest.fixture
def calibrated(world, auricle, tmp_path):
    """A copy of the bundle with a calibration in it."""
    folder = save_bundle(tmp_path / "calibrated")
    source = ("--bundle", folder, "--data_folder", world / "audio")
    auricle.output("calibrate", "--trials", world / "dev.txt", *source, "--out", folder)
    return folder


def test_verify_says_score_probability_and_decision(auricle, world, calibrated, tmp_path):
    audio = world / "audio"
    a, same, other = (audio / f"{name}/00001.wav" for name in ("id00/v0", "id00/v1", "id05/v2"))
    trials, scores = cosines(world)
    names = list(trials.names)
    held = json.loads((calibrated / "calibration.json").read_text())
    fitted = Calibration(held["scale"], held["offset"], held["prior"])
    for file, prior in itertools.product((same, other), (0.01, 0.5)):
        pair = (names.index("id00/v0/00001.wav"), names.index(str(file.relative_to(audio))))
        place = int(np.flatnonzero((trials.enroll == pair[0]) & (trials.test == pair[1]))[0])
        found = auricle.json("verify", calibrated, a, file, "--threshold-prior", prior)
        assert found["score"] == pytest.approx(float(scores[place]), abs=1e-5)
        score = found["score"]
        assert found["probability"] == pytest.approx(float(fitted.probability(score, prior)))
        assert found["threshold"] == pytest.approx(fitted.threshold(prior))
        assert found["same_speaker"] is (score >= found["threshold"])
        assert found["same_speaker"] is (found["probability"] >= 0.5)
    default = auricle("verify", calibrated, a, a)[1]
    assert f"where {100 * held['prior']:g} % of all comparisons" in default
    status, out, _ = auricle("verify", calibrated, a, a, "--threshold-prior", 0.5)
    lines = out.splitlines()
    assert lines[0] == "Score        1.0000 (cosine)" and "where 50 % of all" in lines[1]
    assert lines[2].startswith("Decision     one speaker: the score is at least")
    assert lines[3].startswith("Calibrated on dev.txt (SHA-256 ")
    unlike = audio / names[trials.test[np.where(trials.enroll == 0, scores, np.inf).argmin()]]
    status, out, _ = auricle("verify", calibrated, a, unlike, "--threshold_prior", 0.5)
    assert "Decision     two speakers: the score is below" in out and "No cosine" not in out
    out = auricle.output("verify", calibrated, a, a, "--threshold_prior", 1e-30)
    assert "No cosine is above 1" in out


def test_verify_resamples_and_mixes(auricle, world, calibrated, tmp_path):
    source = world / "audio/id03/v0/00001.wav"
    samples, _ = soundfile.read(source)
    doubled = np.fft.irfft(np.fft.rfft(samples), 2 * len(samples)) * 2
    soundfile.write(tmp_path / "stereo.flac", np.stack([doubled, doubled], 1), 2 * RATE)
    found = auricle.json("verify", calibrated, source, tmp_path / "stereo.flac")
    assert found["score"] > 0.99
    found = auricle.json("verify", calibrated, source, f"{world}/./audio/id03//v0/00001.wav")
    assert found["score"] == pytest.approx(1)


def test_without_a_calibration_there_is_a_score_and_the_way_to_one(auricle, world):
    files = [world / f"audio/id00/v{k}/00001.wav" for k in (0, 1)]
    out = auricle.output("verify", world / "bundle", *files)
    assert out.startswith("Score ")
    assert "Probability" not in out and "Decision" not in out
    assert "auricle calibrate --trials LIST --bundle" in out
    found = auricle.json("verify", world / "bundle", *files)
    assert found["probability"] is found["same_speaker"] is found["calibration"] is None


def test_verify_refuses_by_name(auricle, world, calibrated, tmp_path):
    good = world / "audio/id00/v0/00001.wav"
    for name, samples in (
        ("silence.wav", np.zeros(RATE)),
        ("short.wav", np.random.default_rng(0).uniform(-1, 1, 3000)),
        ("nothing.wav", np.zeros(0)),
    ):
        soundfile.write(tmp_path / name, samples, RATE)
    soundfile.write(tmp_path / "nan.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no audio")
    for name, said in (
        ("missing.wav", ""),
        ("empty.wav", ""),
        ("text.wav", ""),
        ("nothing.wav", ""),
        ("nan.wav", "NaN"),
        ("silence.wav", "is silence"),
        ("short.wav", "is too short: 0.38 s"),
    ):
        for pair in ((good, tmp_path / name), (tmp_path / name, good)):
            err = auricle.refusal("verify", calibrated, *pair)
            assert name in err and said in err
    words = save_bundle(tmp_path / "keywords", task="keyword_spotting")
    for command in (
        ["verify", words, good, good],
        ["embed", words, "a", "--data_folder", tmp_path, "--out", tmp_path / "e.npz"],
        ["score", "--trials", world / "all.txt", "--bundle", words, "--data_folder", tmp_path],
    ):
        assert "was trained for keyword_spotting" in auricle.refusal(*command)
    assert "is no bundle" in auricle.refusal("verify", tmp_path / "nowhere", good, good)
    err = auricle.refusal("verify", calibrated, good, good, "--threshold-prior", 1.5)
    assert "p_target is 1.5" in err
    held = json.loads((calibrated / "calibration.json").read_text())
    held["scoring"]["norm"] = "as"
    (calibrated / "calibration.json").write_text(json.dumps(held))
    err = auricle.refusal("verify", calibrated, good, good)
    assert "norm as" in err and "bare cosine" in err


# -- the options -------------------------------------------------------------------------------------


def test_options_have_both_spellings_and_the_librarys_choices(auricle):
    arguments = cli._parser().parse_args(["calibrate", "--out", "x.json"])
    for field in fields(System):
        assert getattr(arguments, field.name) == field.default
    help_text = " ".join(auricle("score", "--help")[1].split())
    assert "{none," + ",".join(KINDS) + "}" in help_text
    assert "{auto," + ",".join(FORMATS) + "}" in help_text
    for option in ("data-folder", "mean-subtraction", "top-n", "crop-s", "save-scores"):
        assert f"--{option}" in help_text and f"--{option.replace('-', '_')}" in help_text
    help_text = " ".join(auricle("compare", "--help")[1].split())
    assert "{" + ",".join(HEADLINE) + "}" in help_text

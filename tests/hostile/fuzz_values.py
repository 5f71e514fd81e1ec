"""JSON, YAML, archives of numbers and command lines for the fuzzer, read as commands read them."""

import contextlib
import importlib
import io
import math
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from fuzz_mutations import mutate_bytes, mutate_json, mutate_text, mutate_words
from fuzz_texts import KALDI, SCORES, Text, command, trial_lines
from random_bundle import random_bundle

from auricle.hparams.loader import load_hparams, shipped
from auricle.processing.scoring.predictions import read_predictions
from auricle.processing.scoring.regression.files import write_scores
from auricle.processing.scoring.regression.metrics import RegressionScores
from auricle.processing.scoring.verification.embedding_files import write_embeddings
from auricle.processing.scoring.verification.embeddings import Embeddings
from auricle.processing.scoring.verification.plda import fit_plda, save_plda
from auricle.processing.transcription.bigram import Bigram
from auricle.processing.transcription.units import Units
from auricle.recipes import cli
from auricle.recipes.studies.study import find_study
from auricle.recipes.training.option_ranges import checked
from auricle.recipes.training.runner import rehearse

TRIALS = trial_lines("{label} {a} {b}")
NAMES = list(dict.fromkeys(name for line in TRIALS.splitlines() for name in line.split()[1:]))
_ROWS = [{"id": "u1", "phones": "h# sh iy h#", "text": "she"}]


def made(write, name):
    """The bytes of the file that a function writes."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, name))
        return Path(folder, name).read_bytes()


def embeddings(seed=0):
    speaker = np.repeat(np.random.default_rng(1).normal(size=(5, 8)), 2, 0)
    vectors = speaker + np.random.default_rng(seed).normal(size=speaker.shape)
    return Embeddings(NAMES, vectors.astype(np.float32))


class Json(Text):
    """JSON, damaged as a value or as text."""

    def damaged(self, random):
        return mutate_json(random, self.text), False


class Yaml(Text):
    """YAML, damaged as text; a value may hold aliases that stand for others, ten deep."""

    def damaged(self, random):
        if random.random() > 0.15:
            return mutate_text(random, self.text), False
        levels = ["&a0 [x, x, x, x, x, x, x, x, x, x]"]
        for level in range(random.choice((3, 9))):
            levels.append(f"&a{level + 1} [{', '.join([f'*a{level}'] * 10)}]")
        lines = self.text.splitlines(keepends=True)
        at = random.choice(
            [n for n, line in enumerate(lines) if line[:1].isalpha() and ": " in line]
        )
        lines[at] = lines[at].split(":")[0] + f": [{', '.join(levels)}]\n"
        return "".join(lines).encode(), False


class Archive(Text):
    """A file of numbers, damaged in its bytes."""

    def __init__(self, name, data, *rest, file, **more):
        super().__init__(name, "", *rest, file=file, **more)
        self.data = data

    def damaged(self, random):
        return mutate_bytes(random, self.data), False

    def read(self, path, random):
        self.put_others(path.parent)
        return self.reads(path)

    def judge(self, read, data, gentle, path):
        return "read", ""


class Words:
    """Command lines: one of several, with words exchanged, left out, doubled or moved."""

    file, names_its_file = "case.txt", False

    def __init__(self, name, lines, run, others=None):
        self.name, self.lines, self.run, self.others = name, lines, run, others or {}

    def damaged(self, random):
        words = mutate_words(random, random.choice(self.lines).split())
        return "\n".join(words).encode("utf-8", "surrogatepass"), words

    def read(self, path, random):
        for name, data in self.others.items():
            Path(path.parent, name).write_bytes(data)
        bundles(path.parent)
        words = path.read_bytes().decode("utf-8", "surrogatepass").split("\n")
        return self.run(words)

    def must_read(self, words):
        return False

    def judge(self, read, data, words, path):
        return "answered", ""


def bundles(folder):
    """A model of words and a recogniser of phones."""
    if Path(folder, "words").exists():
        return
    small = {"frontend_options": {"num_features": 8}}
    random_bundle(Path(folder, "words"), **small)
    units = Units.build("phones39", _ROWS)
    lstm = {"encoder_options": {"hidden": 4, "layers": 1}, "units": units.state(), "clip_s": None}
    random_bundle(
        Path(folder, "phones"),
        "mel",
        "blstm",
        units.labels,
        task="phone_recognition",
        **small,
        **lstm,
    )


def answer(words):
    """What the command `auricle` answers to a command line."""
    if any(word in ("-h", "--help", "--version") for word in words):
        return None
    out = command(*words, parse=False)
    for line in out.splitlines() if "--json" not in words else ():
        assert "nan" not in line.lower().split(), line
    return out


def rehearsed(words):
    """What a recipe says of a command line, before it claims its folder."""
    recipe, *words = words
    if recipe not in RECIPES or any(word in ("-h", "--help") for word in words):
        return None
    main = importlib.import_module(f"auricle.recipes.{recipe}.train").main
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        end = rehearse(main, words, prepares=False)
    assert end.status in (0, 2), end
    if end.status:
        raise ValueError(end.errors or errors.getvalue())
    return end


RECIPES = ("speech_commands", "voxceleb", "timit", "music_emotion", "own_sounds")
TRAININGS = [
    "speech_commands --frontend leaf --encoder bcresnet --number_of_epochs 3 --lr 0.01 --seed 1",
    "speech_commands --frontend_options.leaf.num_features 40 --label_smoothing 0.1 --batch_size 16",
    "speech_commands --encoder_options.bcresnet.tau 2 --num_workers 2 --weight_decay 0.01",
    "voxceleb --margin 0.2 --crop_s 3 --subcenters 3 --speed_factors [1,0.9] --valid_trials 500",
    "timit --beam_size 16 --lm_weight 0.5 --decoding beam --frontend mel --bpe_size 40",
    "music_emotion --crop_s 5 --window_s [15,45] --loss_mix 0.5 --ccc_window 100 --betas [0.9,0.9]",
    "own_sounds --clip_s 1 --frontend mel --frontend_options.mel.num_features 40 --output_folder out",
]
COMMANDS = [
    "score --scores scores --json --n-resamples 20 --seed 1",
    "score --trials list --scores scores --p-target 0.01,0.5 --c-miss 1,2 --c-fa 10 --n-resamples 0",
    "score --hyp words_said --ref words_said --unit word --seed 3 --json",
    "score --trials list --embeddings e.npz --cohort e.npz --norm as --top-n 3 --json",
    "score --trials list --embeddings e.npz --plda p.safetensors --backend plda --n-resamples 0",
    "compare scores scores --metric eer --n-resamples 20 --seed 1 --json",
    "calibrate --scores scores --prior 0.1 --penalty 0.1 --out new.json --json",
    "table results.json --columns scores,seeds",
    "describe leaf --json",
    "predict words a.wav --window 0,1 --json",
    "transcribe phones a.wav --decoding beam --beam-size 4 --lm-weight 0 --format json",
    "verify words a.wav a.wav --threshold-prior 0.1 --json",
    "filters words --out f.png",
]


def _calibrated(path):
    return command(
        "score",
        "--scores",
        path.with_name("scores"),
        "--calibration",
        path,
        "--n-resamples",
        0,
        "--json",
    )


def _compared(path):
    said = command("compare", path.with_name("right.json"), path, "--n-resamples", 20, "--json")
    assert said["n_songs"] == 6 and math.isfinite(said["b"])
    return said


def _scored_embeddings(*words):
    return lambda path: command(
        "score",
        "--trials",
        path.with_name("list"),
        *[path if word == "FILE" else word for word in words],
        "--n-resamples",
        0,
        "--json",
    )


def _configuration(path):
    return load_hparams([str(path)], "speech_commands", [checked([])]).plain


def _study(path):
    study = find_study(str(path))
    return len(study.cells()), study.fixed


def _predictions():
    scores = RegressionScores(("valence", "arousal"), {"low": 1, "high": 9})
    values = np.random.default_rng(0).uniform(2, 8, (2, 6, 2)).round(3)
    scores.append([f"s{n}#0" for n in range(6)], *values.tolist(), [f"s{n}" for n in range(6)])
    return scores


def values():
    """Every kind of file of values, and command lines."""
    scores, wav = SCORES.encode(), io.BytesIO()
    soundfile.write(wav, 0.1 * np.random.default_rng(0).normal(size=16000), 16000, format="WAV")
    predictions = made(lambda path: write_scores(path, _predictions()), "p.json").decode()
    shipped_results = Path(cli.__file__).parent / "speech_commands" / "results"
    results = sorted(shipped_results.rglob("results.json"))[0].read_text()
    npz, tensors = (
        made(lambda path: write_embeddings(path, embeddings(), {"model": "m"}), "e" + suffix)
        for suffix in (".npz", ".safetensors")
    )
    speaker = {name: name[:3] for name in NAMES}
    plda = made(lambda path: save_plda(path, fit_plda(embeddings(2), speaker)), "p.safetensors")
    calibration = made(
        lambda path: (
            path.with_name("s").write_bytes(scores),
            command("calibrate", "--scores", path.with_name("s"), "--out", path, "--json"),
        ),
        "c.json",
    ).decode()
    bigram = made(Bigram.train([[1, 2, 3], [2, 2]], 5).save, "b.json").decode()
    listed = {"list": TRIALS, "scores": SCORES}
    classes = "id,speaker,target,prediction\n" + "".join(
        f"c{n},s{n % 3},{'yes no'.split()[n % 2]},yes\n" for n in range(9)
    )
    tags = "id,song,target,p(dog),p(rain)\n" + "".join(
        f"c{n},s{n % 3},{'dog;rain dog rain'.split()[n % 3]},0.{n}5,0.5\n" for n in range(9)
    )
    files = {
        "scores": scores,
        "list": TRIALS.encode(),
        "words_said": KALDI.encode(),
        "a.wav": wav.getvalue(),
        "e.npz": npz,
        "p.safetensors": plda,
        "results.json": results.encode(),
    }
    return [
        Json("calibration", calibration, _calibrated, others=listed, file="case.json"),
        Json(
            "song_predictions",
            predictions,
            _compared,
            others={"right.json": predictions},
            file="case.json",
        ),
        Json(
            "results", results, lambda path: command("table", path, parse=False), file="case.json"
        ),
        Json("bigram", bigram, Bigram.load, file="case.json"),
        Text(
            "class_predictions",
            classes,
            lambda path: len(read_predictions(path)),
            lambda n: n + 1,
            file="case.csv",
        ),
        Text(
            "tag_predictions",
            tags,
            lambda path: len(read_predictions(path)),
            lambda n: n + 1,
            file="case.csv",
        ),
        Yaml("hparams", shipped("speech_commands").read_text(), _configuration, file="case.yaml"),
        Yaml("study", shipped("studies/own_sounds").read_text(), _study, file="case.yaml"),
        Archive(
            "embeddings_npz",
            npz,
            _scored_embeddings("--embeddings", "FILE"),
            file="case.npz",
            others=listed,
        ),
        Archive(
            "embeddings_safetensors",
            tensors,
            _scored_embeddings("--embeddings", "FILE"),
            file="case.safetensors",
            others=listed,
        ),
        Archive(
            "plda",
            plda,
            _scored_embeddings("--embeddings", "e.npz", "--backend", "plda", "--plda", "FILE"),
            file="case.safetensors",
            others={**listed, "e.npz": npz},
        ),
        Words("commands", COMMANDS, answer, files),
        Words("trainings", TRAININGS, rehearsed),
    ]

"""How fast phones are scored, decoded, trained on and aligned, against the numbers of this task.

    python tests/bench/phone_recognition.py --report tests/bench/phone_recognition.md

- Scoring: as many utterances as the full test set of TIMIT has, drawn, with substitutions,
  deletions and insertions; in turn with SpeechBrain's `wer_details_for_batch`, which gives alignments
  and no confusions and no interval. Both have to find the same edits.
- Decoding: drawn posteriors with short peaks, as CTC gives them, at 100 steps/s.
- Training: epochs of the recipe on the mini corpus, validation not counted, in turn; in seconds of
  speech per second. The first epoch of each, in which the audio is decoded, is not counted.
- Forced alignment: of the drawn posteriors, and of files with a model of the default size.

Everything is a median of rounds, with the least and the most in parentheses. The exit code is 1 when
a goal is missed by more than that spread.
"""

from __future__ import annotations

import io
import random
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import speechbrain as sb
import torch
from measuring import Row, finish, in_turn, new_parser, ratios, report
from speechbrain.dataio.wer import print_alignments
from speechbrain.utils.edit_distance import wer_details_for_batch, wer_summary

from auricle.hparams.loader import load_hparams
from auricle.lobes import build_model, bundles
from auricle.lobes.brains.base import of_waves
from auricle.processing.data.mini import cached_mini
from auricle.processing.scoring.transcription.sequence import EditCounts
from auricle.processing.scoring.transcription.transcripts import format_alignment
from auricle.processing.system.memory import keep_freed_memory
from auricle.processing.transcription.bigram import Bigram
from auricle.processing.transcription.ctc_decoding import BeamDecoder, GreedyDecoder
from auricle.processing.transcription.forced_alignment import align_steps, divide, segment_times
from auricle.processing.transcription.phones import PhoneConvention
from auricle.processing.transcription.units import Units
from auricle.recipes.inference.align import align_file
from auricle.recipes.inference.alignment_transcripts import from_phones
from auricle.recipes.inference.transcribe import open_recogniser
from auricle.recipes.timit import data, model
from auricle.recipes.training.runner import Run, training_objects

UTTERANCES, PHONES_PER_UTTERANCE = 1344, 38  # the full test set; its utterances last 3.1 s
SUBSTITUTED, DELETED, INSERTED = 0.09, 0.04, 0.03  # shares of the phones, as a good recogniser has
RATE_HZ, STEPS_PER_S, PHONES_PER_S = 16000, 100, 12
BATCH = 16
SCORED_WITHIN_S, EPOCH_AT_LEAST = 2.0, 100.0


# --- scoring -------------------------------------------------------------------------------------


def drawn_transcripts(count: int):
    """Names, references and hypotheses of the 39 phones."""
    draw = random.Random(0)
    symbols = list(PhoneConvention.timit(39).symbols)
    references, hypotheses = [], []
    for _ in range(count):
        size = max(5, round(draw.gauss(PHONES_PER_UTTERANCE, 10)))
        reference = ["sil", *draw.choices(symbols, k=size - 2), "sil"]
        hypothesis = []
        for phone in reference:
            fate = draw.random()
            if fate < INSERTED:
                hypothesis.append(draw.choice(symbols))
            if fate > 1 - DELETED:
                continue
            is_wrong = fate > 1 - DELETED - SUBSTITUTED
            hypothesis.append(draw.choice(symbols) if is_wrong else phone)
        references.append(reference)
        hypotheses.append(hypothesis)
    return [f"u{i}" for i in range(count)], references, hypotheses


def measure_scoring(count: int, rounds: int) -> tuple[list[Row], list[str]]:
    drawn = drawn_transcripts(count)
    kept = {}

    def collected():
        counts = EditCounts("phone", PhoneConvention.timit(39))
        counts.append(*drawn)
        return counts

    def aligned():
        kept["counts"] = collected()
        kept["counts"].alignments()

    def whole():
        kept["summary"] = collected().summarize()

    def printed():
        found = kept["counts"].alignments()
        kept["text"] = "\n\n".join(format_alignment(a, name) for name, a in found.items())

    def their_alignments():
        kept["details"] = wer_details_for_batch(*drawn, compute_alignments=True)
        kept["theirs"] = wer_summary(kept["details"])

    def their_printing():
        print_alignments(kept["details"], file=io.StringIO())

    _, seconds = in_turn(
        {
            "aligned": aligned,
            "whole": whole,
            "printed": printed,
            "their alignments": their_alignments,
            "their printing": their_printing,
        },
        rounds,
    )
    summary, theirs = kept["summary"], kept["theirs"]
    if summary["edits"] != theirs["num_edits"]:
        raise SystemExit(
            f"{summary['edits']} edits here, {theirs['num_edits']} by SpeechBrain: one is wrong"
        )
    what = f"{count:,} utterances"
    rows = [
        Row(
            f"{what} scored: alignments, kinds of edits, confusions, interval",
            seconds["whole"],
            "s",
            at_most=SCORED_WITHIN_S,
        ),
        Row(f"{what} aligned", seconds["aligned"], "s"),
        Row(f"{what} aligned by SpeechBrain", seconds["their alignments"], "s"),
        Row(
            "SpeechBrain's alignments to aligned",
            ratios(seconds["their alignments"], seconds["aligned"]),
            "times",
        ),
        Row(
            "SpeechBrain's alignments to scored, confusions and interval included",
            ratios(seconds["their alignments"], seconds["whole"]),
            "times",
        ),
        Row(f"{what}: alignments as text", seconds["printed"], "s"),
        Row(f"{what}: alignments as text by SpeechBrain", seconds["their printing"], "s"),
    ]
    note = (
        f"drawn transcripts: {summary['reference_tokens']:,} phones, PER {100 * summary['per']:.1f} % "
        f"({summary['substitutions']} substitutions, {summary['deletions']} deletions, "
        f"{summary['insertions']} insertions); SpeechBrain finds as many edits"
    )
    return rows, [note]


# --- decoding and forced alignment ---------------------------------------------------------------


def drawn_posteriors(units: Units, count: int, duration_s: float):
    """Log-probabilities (B, N, C) with one peak per unit, and the units (B, U)."""
    generator = torch.Generator().manual_seed(0)
    steps, spoken = round(duration_s * STEPS_PER_S), round(duration_s * PHONES_PER_S)
    # Between the peaks the blank is nearly certain, so that a search tries few other units there.
    logits = 1.5 * torch.randn(count, steps, len(units.labels), generator=generator)
    logits[:, :, 0] += 10.0
    said = torch.randint(1, len(units.labels), (count, spoken), generator=generator)
    peaks = ((torch.arange(spoken) + 0.5) * steps / spoken).long()
    # Heights vary: some phones are heard for sure, some hardly.
    heights = 8.0 + 6.0 * torch.rand(count, spoken, generator=generator)
    for number, at in enumerate(peaks.tolist()):
        logits[torch.arange(count), at, said[:, number]] += heights[:, number]
    return logits.log_softmax(-1), said


def measure_decoding(duration_s: float, rounds: int) -> list[Row]:
    units = Units.build("phones39", [{"id": "u"}])
    steps, said = drawn_posteriors(units, BATCH, duration_s)
    lengths = torch.full((BATCH,), steps.shape[1])
    bigram = Bigram.train(said.tolist(), len(units.labels))
    decoders = {
        "greedy": GreedyDecoder(),
        "beam search, 16 prefixes": BeamDecoder(units.labels),
        "beam search, 16 prefixes, bigram": BeamDecoder(units.labels, 16, 0.5, bigram),
    }
    contenders = {
        name: lambda decode=decode: decode(steps, lengths) for name, decode in decoders.items()
    }

    def aligned():
        for item, indices in zip(steps, said.tolist(), strict=True):
            changes = divide(item, indices, align_steps(item, indices))
            labels = [units.labels[index] for index in indices]
            segment_times(changes, labels, round(duration_s * RATE_HZ), RATE_HZ / STEPS_PER_S)

    contenders["forced alignment of posteriors"] = aligned
    speech_s = BATCH * duration_s
    return [
        Row(name, [speech_s / t for t in seconds], "s of speech per s")
        for name, seconds in in_turn(contenders, rounds)[1].items()
    ]


def measure_files(duration_s: float, rounds: int) -> list[Row]:
    """Files read, resampled where needed, heard and aligned; random weights take as long."""
    torch.manual_seed(0)
    units = Units.build("phones39", [{"id": "u"}])
    parts = {"frontend": "mel", "encoder": "blstm", "sample_rate": RATE_HZ}
    parts |= {"normalization": "sentence", "head": "classifier"}
    chain = build_model(**parts, num_outputs=len(units.labels))
    about = {
        "task": "phone_recognition",
        "sample_rate": RATE_HZ,
        "clip_s": None,
        "labels": list(units.labels),
        "normalization": "sentence",
        "frontend": {"name": "mel", "options": {}},
        "encoder": {"name": "blstm", "options": {}, "in_frames": None},
        "units": units.state(),
    }
    draw = np.random.default_rng(0)
    count = round(duration_s * PHONES_PER_S)
    symbols = [units.labels[i] for i in draw.integers(1, len(units.labels), count)]
    transcript = from_phones(units, symbols)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        noise = 0.1 * draw.standard_normal(round(duration_s * RATE_HZ))
        soundfile.write(path, noise, RATE_HZ)
        bundle, units = open_recogniser(bundles.save(Path(folder, "bundle"), about, chain))
        whole = {"whole": lambda: align_file(bundle, units, path, transcript)}
        _, seconds = in_turn(whole, max(rounds, 5))
    return [
        Row(
            f"forced alignment of a file of {duration_s:g} s, mel + blstm",
            [duration_s / t for t in seconds["whole"]],
            "s of speech per s",
        )
    ]


# --- training ------------------------------------------------------------------------------------


def recipe_epoch(folder: Path, scratch: str, frontend: str):
    """An epoch of the recipe with the default encoder, and the seconds of speech in it."""
    words = ["--data_folder", str(folder), "--frontend", frontend, "--device", "cpu"]
    words += ["--batch_size", str(BATCH), "--results_folder", scratch, "--noprogressbar"]
    config = load_hparams(words, "timit")
    hparams = config.build()
    prepared = data.prepare_from(config.plain, folder)
    units = model.build_units(hparams, prepared)
    run = Run(
        config, {**training_objects(hparams), **hparams, "checkpointer": None}, Path(), prepared, {}
    )
    run.add_head("transcription", len(units.labels))
    brain = run.build_brain(
        "transcription",
        units,
        model.build_decoders(hparams, prepared, units),
        augment=of_waves(model.build_augmentation(hparams)),
    )
    dataset = data.build_datasets(hparams, prepared, units)["train"]
    loader = brain.make_dataloader(dataset, sb.Stage.TRAIN, batch_size=BATCH)
    brain.on_fit_start()
    number = 0

    def run():
        nonlocal number
        number += 1
        brain._fit_train(loader, number, enable=False)

    return run, sum(dataset.durations_s)


def measure_training(folder: Path, rounds: int) -> tuple[list[Row], list[str]]:
    with tempfile.TemporaryDirectory() as scratch:
        epochs = {}
        for frontend in ("mel", "leaf"):
            epochs[frontend], speech_s = recipe_epoch(folder, scratch, frontend)
        _, later = in_turn(epochs, rounds)
    rows = [
        Row(
            f"epoch of {name} + blstm",
            [speech_s / t for t in later[name]],
            "s of speech per s",
            at_least=EPOCH_AT_LEAST if name == "mel" else None,
        )
        for name in epochs
    ]
    rows.append(
        Row("epoch of leaf + blstm to mel + blstm", ratios(later["leaf"], later["mel"]), "times")
    )
    return rows, [f"training: {speech_s:.0f} s of speech per epoch, {BATCH} utterances per batch"]


def main() -> int:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--utterances", type=int, default=UTTERANCES, help=f"scored; default: {UTTERANCES}"
    )
    parser.add_argument(
        "--data_folder", type=Path, help="TIMIT to train on; default: the mini corpus, tiny"
    )
    arguments = parser.parse_args()
    keep_freed_memory()  # as the recipes do
    rows, notes = measure_scoring(arguments.utterances, arguments.rounds)
    rows += measure_decoding(3.0, arguments.rounds)
    rows += measure_files(3.0, arguments.rounds)
    trained, about = measure_training(
        arguments.data_folder or cached_mini("timit", "tiny"), arguments.rounds
    )
    rows, notes = rows + trained, notes + about
    notes.insert(0, f"medians of {arguments.rounds} rounds in turn (least to most)")
    text = report("Phone recognition", __file__, notes, rows)
    return finish(text, arguments.report, rows)


if __name__ == "__main__":
    raise SystemExit(main())

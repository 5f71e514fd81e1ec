"""Objects of the TIMIT recipe: units, decoders, augmentation, description of the result."""

from pathlib import Path

from ...lobes import bundles
from ...lobes.brains.optimization import annealing_problems
from ...processing.data.augmentation.additive_noise import AddNoise
from ...processing.data.augmentation.noise_sources import GeneratedNoise
from ...processing.system.rules import number, whole, wrong_values
from ...processing.transcription.bigram import Bigram
from ...processing.transcription.ctc_decoding import GreedyDecoder, build_decoder, decoding_problems
from ...processing.transcription.units import Units
from ..inference.align import boundary_shift_ms
from ..inference.transcribe import BIGRAM_FILE

#: Validation utterances on which a model's boundaries are centred.
SHIFT_UTTERANCES = 100


def build_units(hparams: dict, record) -> Units:
    """The units of the training transcripts."""
    return Units.build(
        hparams["units"],
        record.rows("train"),
        silence_rule=hparams["silence_rule"],
        glottal_stop=hparams["glottal_stop"],
        bpe_size=hparams["bpe_size"],
    )


def build_bigram(record, units: Units) -> Bigram:
    """Which unit follows which in the training transcripts."""
    return Bigram.train([units.encode(row) for row in record.rows("train")], len(units.labels))


def build_decoders(hparams: dict, record, units: Units) -> dict:
    """Greedy while training; for the test what the YAML says."""
    options = (hparams[key] for key in ("decoding", "beam_size", "lm_weight"))
    decoding, beam_size, lm_weight = options
    bigram = build_bigram(record, units) if lm_weight else None
    test = build_decoder(decoding, units.labels, beam_size, lm_weight, bigram)
    return {"valid": GreedyDecoder(), "test": test}


def build_augmentation(hparams: dict):
    """Noise as the YAML says; None without."""
    if not hparams["noise_probability"]:
        return None
    return AddNoise(GeneratedNoise(hparams["sample_rate"]), hparams["noise_probability"])


def complete_bundle(folder: Path, record, units: Units) -> None:
    """What `auricle transcribe` and `auricle align` need beside the weights.

    The bigram of the training transcripts, and, where the corpus has phone times, by how much the
    model's boundaries are early or late on some of the validation utterances.
    """
    build_bigram(record, units).save(folder / BIGRAM_FILE)
    rows = [row for row in record.rows("valid") if row.get("phone_ends")][:SHIFT_UTTERANCES]
    if rows and units.scored_as == "phone":
        shift_ms = boundary_shift_ms(bundles.load(folder), units, rows, record.roots)
        bundles.amend(folder, boundary_shift_ms=shift_ms)


def describe_protocol(record, units: Units, hparams: dict) -> dict:
    """All that two error rates have to share to be compared."""
    described = {
        "name": record.protocol,
        "test_digest": record.test_digest,
        "units": hparams["units"],
        **units.describe(),
        "decoding": hparams["decoding"],
        "lm_weight": hparams["lm_weight"] if hparams["decoding"] == "beam" else 0.0,
    }
    return {**described, "remark": record.remark} if record.remark else described


def problems(plain: dict) -> list[str]:
    """What is wrong with the decoding, the noise and the annealing of a configuration."""
    rules = {"noise_probability": number(0, 1, "from 0 to 1"), "sorted_epochs": whole(0)}
    return decoding_problems(plain) + annealing_problems(plain) + wrong_values(plain, rules)

"""Datasets of prepared Speech Commands clips, and what their augmentation is made of."""

from pathlib import Path

from ...processing.data.audio import read_audio
from ...processing.data.augmentation.crops import cut_rows
from ...processing.data.augmentation.keyword import BackgroundNoise, KeywordAugmentation, TimeShift
from ...processing.data.dataset import AudioCache, Recordings, read_row, row_reader
from ...processing.data.manifest import SPLITS
from ..training.messages import tell
from ..training.preparation import prepare_configured
from .checks import long_clips
from .prepare import prepare
from .protocols import SAMPLE_RATE_HZ, SILENCE
from .record import SpeechCommandsRecord


def prepare_from(plain: dict, folder: Path) -> SpeechCommandsRecord:
    """Prepare the data that a configuration describes; every rank gets the same record.

    Arguments
    ---------
    plain : plain values of the YAML
    folder : the data folder
    """
    name = plain["protocol"], f"max{plain['max_per_class']}", f"seed{plain['data_seed']}"
    return prepare_configured(prepare, plain, folder, name)


def build_datasets(hparams: dict, record: SpeechCommandsRecord) -> dict[str, Recordings]:
    """One SpeechBrain dataset per split: `id`, `sig` (T,), `target` (class index), `group` (speaker)."""
    rate = hparams["sample_rate"]
    if rate != SAMPLE_RATE_HZ:
        raise ValueError(f"Speech Commands is {SAMPLE_RATE_HZ} Hz audio, got sample_rate {rate}")
    index = {label: number for number, label in enumerate(record.labels)}
    cache = AudioCache(hparams["cache_gb"])
    size = round(hparams["clip_s"] * rate)
    how = hparams["long_clips"] or "first"
    rows = [row for split in SPLITS for row in record.rows(split)]
    if text := long_clips(rows, hparams["clip_s"]):
        tell(f"{text}. Of each is heard: {how} (--long_clips first, centre or windows)")

    def dataset(split):
        rows = {row["id"]: row for row in cut_rows(record.rows(split), size, rate, how)}
        # A speaker's clips succeed or fail together; silence has no speaker and stands for itself.
        items = {
            name: {"target": index[row["label"]], "group": row["speaker"] or name}
            for name, row in rows.items()
        }
        read = row_reader(rows, record.roots, rate, cache, size)
        return Recordings(
            items, {"sig": read}, [hparams["clip_s"]] * len(rows), ("target", "group")
        )

    return {split: dataset(split) for split in SPLITS}


def build_augmentation(hparams: dict, record: SpeechCommandsRecord) -> KeywordAugmentation:
    """The recipe's augmentation, with noise from the recordings set aside for training.

    Without noise recordings the training clips of silence serve, when they are recordings;
    without those, noise is generated.
    """
    rate = hparams["sample_rate"]
    paths = [Path(record.roots[""], name) for name in record.noise_files.get("train", [])]
    recordings = [read_audio(path, rate) for path in paths]
    if not recordings:
        rows = [row for row in record.rows("train") if row["label"] == SILENCE and row["path"]]
        recordings = [read_row(row, record.roots, rate) for row in rows]
    silence_class = record.labels.index(SILENCE) if SILENCE in record.labels else None
    return KeywordAugmentation(
        TimeShift(hparams["time_shift_ms"], rate),
        BackgroundNoise(recordings, hparams["noise_amplitude"]),
        BackgroundNoise(recordings, hparams["silence_amplitude"]),
        hparams["augment_probability"],
        silence_class,
    )

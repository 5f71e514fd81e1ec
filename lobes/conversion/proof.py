"""A converted model as a bundle: written, opened again, and compared with its own runtime."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from ...processing.system.files import file_digest, replacing_folder
from ...processing.system.listing import first_of
from ..bundles import Bundle, BundleError, load, save
from ..bundles.bundle import build_described
from ..bundles.card import write_card
from ..bundles.weights import compare_sketch
from ..model import Model
from . import ConversionError, Converted, MissingLabelsError, Source, find_source
from .files import SourceFile

#: Seconds of the signals that a model of no fixed length is compared on.
_LENGTH_S = 2.0
_COUNT = "num_batches_tracked"


@dataclass(frozen=True)
class Report:
    """What a conversion did.

    Attributes
    ----------
    bundle : Path
    source : Source
    converted : Converted
    difference : float or None
        Largest difference from the source's own runtime, as a share of its largest output; None
        where it was not compared.
    signals : int
        That were compared.
    """

    bundle: Path
    source: Source
    converted: Converted
    difference: float | None
    signals: int


def convert(path, folder, name: str | None = None, labels: list[str] | None = None) -> Report:
    """Convert somebody's file to a bundle, and prove that it computes the same.

    Arguments
    ---------
    path : str or Path
        The file or folder.
    folder : str or Path
        Of the bundle; must be empty or not exist.
    name : str or None
        Of the source; None: the one that recognises the file.
    labels : list of str or None
        Of the outputs in their order, where the file does not hold them.

    Raises
    ------
    ConversionError
        A file of no known source, or a damaged one; labels that lack or do not fit; weights that
        do not fit; a difference from the source's own runtime beyond the tolerance. Nothing is
        written then.
    """
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConversionError(
            f"{folder} is there already, and nothing is overwritten: name another"
        )
    file = SourceFile(path)
    try:
        source = find_source(file, name)
        converted = source.convert(file, labels)
    except (IndexError, KeyError, RuntimeError, StopIteration, TypeError) as error:
        raise ConversionError(
            f"{path} has the names of a known source, but not its tensors: {error!r:.200}"
        ) from None
    description = _card(converted) | converted.description
    description["converted"] = _provenance(file, source, converted)
    if description["labels"] is None:
        raise MissingLabelsError(
            f"{path} does not hold its labels: give them, one a line, in the order of its outputs"
        )
    model = _filled(description, converted, file.path)
    with replacing_folder(folder) as part:
        save(part, description, model)
        write_card(part, description)
        difference, signals = _compared(load(part), converted)
    return Report(folder, source, converted, difference, signals)


def _card(converted: Converted) -> dict:
    """What a model card says of the licence, as Hugging Face spells it, and where it is from."""
    about = converted.description.get("converted", {})
    licence, _, note = about.get("licence", "").partition(" (")
    entries = {"source": f"{about.get('followed', '')}, converted by auricle".lstrip(", ")}
    if licence:
        entries |= {"licence": licence.lower().replace(" ", "-")}
    return entries | ({"licence_note": note.rstrip(")")} if note else {})


def _provenance(file: SourceFile, source: Source, converted: Converted) -> dict:
    about = {"file": file.path.name, "format": file.format, "source": source.name}
    if file.path.is_file():
        about["sha256"] = file_digest(file.path)
    about |= converted.description.get("converted", {})
    return about | {"left_out": converted.left_out, "projected": converted.projected}


def _filled(description: dict, converted: Converted, path: Path) -> Model:
    """The model of a description with the weights of the source.

    Options follow from the sides of tensors, and may describe a model of any size: its shapes are
    compared before it takes memory.
    """
    # How many batches a batch normalisation has seen changes nothing that is computed.
    weights = {k: v for k, v in converted.weights.items() if not k.endswith(_COUNT)}
    if wrong := [key for key, value in weights.items() if not value.isfinite().all()]:
        raise ConversionError(
            f"{path} is damaged: values of {first_of(wrong)} are NaN or infinite; take a whole copy"
        )
    shapes = {key: (value.dtype, tuple(value.shape)) for key, value in weights.items()}
    try:
        compare_sketch(partial(_without_counts, description), shapes, "auricle's net")
    except BundleError as error:
        raise ConversionError(f"{path} does not fit: {error}") from None
    model = build_described(description)
    model.load_state_dict(weights, strict=False)
    return model


def _without_counts(description: dict) -> Model:
    model = build_described(description)
    for part in model.modules():
        if getattr(part, _COUNT, None) is not None:
            setattr(part, _COUNT, None)
    return model


@torch.no_grad()
def _compared(bundle: Bundle, converted: Converted) -> tuple[float | None, int]:
    """Largest share of difference from the reference, and on how many signals."""
    if converted.reference is None:
        return None, 0
    size = round((bundle.clip_s or _LENGTH_S) * bundle.sample_rate)
    wavs = probe_signals(size)
    is_bare = bundle.description["head"]["name"] == "none"
    got = bundle.embed(wavs).flatten(1) if is_bare else bundle(wavs)
    wanted = converted.reference(bundle, wavs)
    difference = float((got - wanted).abs().max() / wanted.abs().max())
    if not difference <= converted.tolerance:
        raise ConversionError(
            f"auricle's net differs from {converted.runtime} by {difference:.1e} of its largest "
            f"output, allowed are {converted.tolerance:.0e}: nothing was written"
        )
    return difference, len(wavs)


def probe_signals(size: int) -> torch.Tensor:
    """Noise, a chirp, a decaying tone and silence, (4, size), the same at each call.

    Example
    -------
    >>> probe_signals(800).shape
    torch.Size([4, 800])
    """
    random = torch.Generator().manual_seed(0)
    time = torch.arange(size) / size
    noise = 0.1 * torch.randn(size, generator=random)
    chirp = 0.5 * torch.sin(size * torch.pi * 0.4 * time.square())
    tone = 0.3 * torch.exp(-6 * time) * torch.sin(0.12 * size * time)
    return torch.stack([noise, chirp + 0.01 * noise, tone + 0.01 * noise, torch.zeros(size)])

"""A converted model as a bundle: written, opened again, and compared with its own runtime."""

from dataclasses import dataclass
from pathlib import Path

import torch

from ...processing.system.files import file_digest, replacing_folder
from ..bundles import Bundle, load, save
from ..bundles.bundle import build_described
from . import ConversionError, Converted, MissingLabelsError, Source, find_source
from .files import SourceFile

#: Seconds of the signals that a model of no fixed length is compared on.
_LENGTH_S = 2.0


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
    source = find_source(file, name)
    converted = source.convert(file, labels)
    description = {**converted.description, "converted": _provenance(file, source, converted)}
    if description["labels"] is None:
        raise MissingLabelsError(
            f"{path} does not hold its labels: give them, one a line, in the order of its outputs"
        )
    model = _filled(description, converted, file)
    with replacing_folder(folder) as part:
        save(part, description, model)
        difference, signals = _compared(load(part), converted)
    return Report(folder, source, converted, difference, signals)


def _provenance(file: SourceFile, source: Source, converted: Converted) -> dict:
    about = {"file": file.path.name, "format": file.format, "source": source.name}
    if file.path.is_file():
        about["sha256"] = file_digest(file.path)
    about |= converted.description.get("converted", {})
    return about | {"left_out": converted.left_out, "projected": converted.projected}


def _filled(description: dict, converted: Converted, file: SourceFile):
    """The model of a description with the weights of the source."""
    model = build_described(description)
    expected = model.state_dict()
    # A count of training batches changes nothing that is computed.
    weights = {k: v for k, v in expected.items() if k.endswith("num_batches_tracked")}
    weights |= converted.weights
    wrong = [
        f"{key}: {_shape(weights, key)} in the file, {_shape(expected, key)} in auricle's net"
        for key in sorted({*expected, *weights})
        if _shape(weights, key) != _shape(expected, key)
    ]
    if wrong:
        raise ConversionError(f"{file.path} does not fit:\n  " + "\n  ".join(wrong[:10]))
    model.load_state_dict(weights)
    return model


def _shape(tensors: dict[str, torch.Tensor], key: str):
    return tuple(tensors[key].shape) if key in tensors else "missing"


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

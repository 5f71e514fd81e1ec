"""Models trained elsewhere: the sources that are known, and what a conversion of one gives.

A module of this package knows one source, in `SOURCE`. No code of a source is run, and nothing
outside its file or folder is read.
"""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...processing.system.names import nearest

if TYPE_CHECKING:
    import torch

__all__ = [
    "SOURCES",
    "ConversionError",
    "Converted",
    "MissingLabelsError",
    "Source",
    "find_source",
    "sources",
]

#: Modules of this package, in the order in which they are asked.
SOURCES = (
    "qualcomm_bcresnet",
    "arm_kwt",
    "mlperf_ds_cnn",
    "speechbrain_speakers",
    "music_tagging",
    "essentia",
    "leaf_variables",
    "wespeaker_speakers",
    "transformers_folder",
    "torchaudio_wav2vec2",
)


class ConversionError(ValueError):
    """A file that no source recognises, that is damaged, or that auricle's nets cannot hold."""


class MissingLabelsError(ConversionError):
    """A file that does not hold its labels, and nobody said them."""


@dataclass(frozen=True)
class Converted:
    """A model of a source in auricle's terms.

    Attributes
    ----------
    description : dict
        What `auricle.lobes.bundles.save` takes, with the task. Of labels that a file does not hold
        None is given where the user has to say them.
    weights : dict of tensors
        By the names of `auricle.lobes.model.Model`: `embedding_model.layers.0...`.
    left_out : list of str
        What of the source has no place in the bundle, and why.
    projected : list of str
        Values that were moved into the range that auricle's lobes have, from what to what.
    reference : callable or None
        (model, wavs (B, T)) -> what the source's own runtime gives for them, as the head gives it
        (as `embed` gives it, (B, D), where the head is "none").
    runtime : str
        What computes the reference; or what has to be installed for that, or why nothing can.
    tolerance : float
        Largest difference from the reference, as a share of its largest value.
    """

    description: dict[str, Any]
    weights: "dict[str, torch.Tensor]"
    left_out: list[str]
    projected: list[str]
    reference: "Callable[[Any, torch.Tensor], torch.Tensor] | None" = None
    runtime: str = "no code of the source is installed"
    tolerance: float = 1e-4


@dataclass(frozen=True)
class Source:
    """One kind of file that can be converted.

    Attributes
    ----------
    name : str
    about : str
        What is recognised, in a few words.
    mismatch : callable
        SourceFile -> why it is none of these, in a few words; "" where it is.
    convert : callable
        (SourceFile, labels or None) -> Converted. Raises a ValueError where it cannot.
    """

    name: str
    about: str
    mismatch: Callable[..., str]
    convert: Callable[..., Converted]


def sources() -> dict[str, Source]:
    """Every source by its name."""
    found = [import_module(f".{module}", __name__).SOURCE for module in SOURCES]
    return {source.name: source for source in found}


def find_source(file, name: str | None = None) -> Source:
    """The source that recognises a file.

    Arguments
    ---------
    file : SourceFile
    name : str or None
        Of the one source that is asked; None: all are.

    Raises
    ------
    ConversionError
        No source of that name; none recognises the file, with the reason of each.
    """
    known = sources()
    if name is not None and name not in known:
        raise ConversionError(
            f"no source is called {name!r}{nearest(name, known)} Known: {', '.join(known)}"
        )
    reasons = []
    for source in known.values() if name is None else [known[name]]:
        if not (reason := source.mismatch(file)):
            return source
        reasons.append(f"{source.name} ({source.about}): {reason}")
    raise ConversionError(
        f"{file.path} ({file.format}) is of no source that is known:\n  " + "\n  ".join(reasons)
    )

"""Base classes of frontends and encoders: their attributes, shapes and lengths.

The promises themselves are run by `auricle.lobes.promises` over every registered lobe. A lobe that
an option starts from a file says in `lasting_options` what rebuilds it where that file is not.
"""

import copy
from collections.abc import Callable

import torch
from torch import nn

from ..processing.filterbank.framing import frame_count
from ..processing.system.operators import is_recorded, is_traced
from .layers.masks import mask_padding, valid_lengths

__all__ = ["Encoder", "Frontend", "check_batch", "mask_padding", "project_after", "valid_lengths"]


def check_batch(wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> None:
    """Check a frontend's input: wavs (B, T) with T >= 1, and one length per item.

    Raises
    ------
    ValueError
    """
    if wavs.dim() != 2 or wavs.shape[1] == 0:
        raise ValueError(
            f"wavs must be (B, T) with at least one sample, got the shape {tuple(wavs.shape)}"
        )
    if lengths is not None and lengths.shape != wavs.shape[:1]:
        raise ValueError(
            f"lengths must hold one relative length per item, ({len(wavs)},), "
            f"got the shape {tuple(lengths.shape)}"
        )


def project_after(optimizer: torch.optim.Optimizer, *modules: nn.Module):
    """Project the parameters of `modules` back into their valid range after every step.

    A parameter that is clamped in forward has zero gradient for ever once it is outside its
    range; a parameter that is projected after the step keeps learning. auricle's Brains call this
    for every lobe; in a training loop of your own one line does the same.

    Arguments
    ---------
    optimizer : torch.optim.Optimizer
    modules : nn.Module
        Each sub-module that has a method `project_` is projected.

    Returns
    -------
    A handle with `remove()`.

    Example
    -------
    >>> from auricle.lobes import build_frontend
    >>> leaf = build_frontend("leaf")
    >>> optimizer = torch.optim.Adam(leaf.parameters(), lr=0.1)
    >>> handle = project_after(optimizer, leaf)
    """
    projected = [
        part for module in modules for part in module.modules() if hasattr(part, "project_")
    ]

    def hook(optimizer, args, kwargs):
        with torch.no_grad():
            for part in projected:
                part.project_()

    return optimizer.register_step_post_hook(hook)


class Lobe(nn.Module):
    """Base of frontends and encoders."""

    #: Why `torch.compile` cannot take the lobe as one graph; empty: it can, with the same values.
    graph_break: str = ""
    #: The operator for which `exported()` has no form that other runtimes take; empty: it has one.
    not_exported: str = ""

    def lasting_options(self, options: dict) -> dict:
        """The options that rebuild this lobe without the files it was started from.

        A bundle keeps these beside the weights. A lobe with an option that names a file leaves
        that option out, and puts in what the file decided besides what `state_dict` holds.

        Arguments
        ---------
        options : dict
            The options it was built with; left as they are.

        Returns
        -------
        dict, plain JSON. These very options where no file is read.
        """
        return options

    def exported(self) -> nn.Module:
        """A module with the same values in evaluation, for other runtimes to run.

        Called as the lobe is: the input and `lengths`. It is made of real numbers alone, of
        convolutions, matrix products and pointwise operators, without a Fourier transform, and
        torch.export records it with any batch and any time. What it cannot share it copies; it is
        never trained. Default: a copy of which every part that has a method
        `use_plain_operators_()` has been told to compute like that; this lobe itself where none has.
        """
        if not any(hasattr(part, "use_plain_operators_") for part in self.modules()):
            return self
        form = copy.deepcopy(self).eval().requires_grad_(False)
        for part in form.modules():
            if hasattr(part, "use_plain_operators_"):
                part.use_plain_operators_()
        return form


class Frontend(Lobe):
    """Waveform in, frames out.

    A subclass calls `super().__init__(sample_rate, hop, window, num_features)` and writes
    `forward(wavs, lengths=None)`. It owns its input handling and its compression.

    Arguments
    ---------
    sample_rate : int
        Rate of the waveforms it takes, in Hz. Every parameter in Hz or ms is scaled to it.
    hop : int
        Distance between frames, in samples.
    window : int
        Number of samples that one frame looks at.
    num_features : int
        F, values per frame.

    Shape
    -----
    wavs (B, T) float in [-1, 1], lengths (B,) relative or None -> (B, num_frames(T), F).
    With `lengths`, the frames `num_frames(T_b)` of item b do not depend on what follows its end.

    Notes
    -----
    Optional: `project_()` moves parameters back into their valid range, in place
    (see `project_after`); `filters()` returns a `FilterSet`, which is drawn, compared before and
    after training, and read for the unit of a parameter in Hz.
    """

    #: Recommended normalisation behind this frontend: "none", "sentence" or "global".
    normalization: str = "sentence"
    #: True when forward has no trainable parameter by design (a fixed transform).
    fixed: bool = False

    def __init__(self, sample_rate: int, hop: int, window: int, num_features: int):
        super().__init__()
        for name, value in {
            "sample_rate": sample_rate,
            "hop": hop,
            "window": window,
            "num_features": num_features,
        }.items():
            if int(value) != value or value < 1:
                raise ValueError(f"{name} must be a positive whole number, got {value!r}")
            setattr(self, name, int(value))

    def num_frames(self, num_samples: int) -> int:
        """Exact number of frames for a waveform of `num_samples` samples: ceil(T / hop).

        For tensors of counts, too: with torch.compile the counts of items are not known as numbers.
        """
        return frame_count(num_samples, self.hop)

    @property
    def reach(self) -> tuple[int, int]:
        """Samples that frame k reads at most before and behind sample hop * k: what a stream keeps,
        and what it waits for. Default: a window each, which holds wherever the frames lie."""
        return self.window, self.window

    def frames_inside(self) -> Callable[[torch.Tensor, slice], torch.Tensor] | None:
        """A quicker way to the frames of a short piece that read nothing outside it; None: there is
        none.

        Returns
        -------
        Of a piece (1, T) and a slice of its frames: (1, N, F), where the frames of the slice are
        right. It has the filters of now, and is for use and not for training.
        """
        return None

    def frame_lengths(self, lengths: torch.Tensor | None, num_samples: int) -> torch.Tensor | None:
        """Relative lengths in frames, exact, for relative lengths in samples.

        SpeechBrain hands the relative length of the waveform on to the frames, which is off by up
        to one frame; this is not.

        Shape
        -----
        (B,) -> (B,), such that `valid_lengths(result, num_frames(T))` is `num_frames(T_b)`.
        """
        if lengths is None:
            return None
        frames = self.frames_of_items(lengths, num_samples)
        return frames.float() / self.num_frames(num_samples)

    def frames_of_items(self, lengths: torch.Tensor, num_samples: int) -> torch.Tensor:
        """Frames of each item of a batch of `num_samples` samples, from its relative length:
        (B,) -> int64 (B,)."""
        samples = valid_lengths(lengths, num_samples)
        counts = samples.clamp(min=1)
        if is_recorded() or is_traced(lengths):  # the counts are not known as numbers
            frames = self.num_frames(counts) + 0 * counts
        else:
            frames = [self.num_frames(count) for count in counts.tolist()]
            frames = torch.tensor(frames, device=lengths.device)
        return torch.where(samples > 0, frames.clamp(max=self.num_frames(num_samples)), 0)

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        raise TypeError(f"{type(self).__name__} does not define forward(wavs, lengths=None)")


class Encoder(Lobe):
    """Frames in, what a task needs out.

    A subclass calls `super().__init__(in_features, out_features, output, stride)` and writes
    `forward(feats, lengths=None)`.

    Arguments
    ---------
    in_features : int
        F of the frames it takes.
    out_features : int
        D of what it returns.
    output : str
        "frames": (B, N', D) with N' = num_frames(N); "utterance": (B, 1, D).
    stride : int
        Frames in per frame out (1 for utterance-level output).

    Shape
    -----
    feats (B, N, F), lengths (B,) relative to N or None -> (B, N', D) or (B, 1, D).
    With `lengths`, what is returned for an item does not depend on its padding.
    """

    #: True when the encoder is built for one number of frames and needs `in_frames`.
    needs_in_frames: bool = False
    #: F and N of the frames it is described and tested with; one that reads samples says so here.
    example_features: int = 40
    example_frames: int = 101
    #: F it needs at least; 2: it reads spectrograms, and no waveform.
    fewest_features: int = 1
    #: True when no step reads a later frame: it then has `stream`.
    causal: bool = False

    def __init__(self, in_features: int, out_features: int, output: str, stride: int = 1):
        super().__init__()
        if output not in ("frames", "utterance"):
            raise ValueError(f'output must be "frames" or "utterance", got {output!r}')
        self.in_features = int(in_features)
        self.out_features = int(out_features)
        self.output = output
        self.stride = int(stride)

    @classmethod
    def unfit(cls, in_features: int, in_frames: int | None, **options) -> str | None:
        """Reason why this encoder cannot take such frames, in one sentence; None when it can.

        Arguments
        ---------
        in_features : int
            F of the frontend.
        in_frames : int or None
            N of a training clip, None when clips differ in length.
        options
            The options the encoder would be built with.
        """
        if in_features >= cls.fewest_features:
            return None
        return (
            f"it reads spectrograms of at least {cls.fewest_features} features; set frontend: mel, "
            "or another with as many."
        )

    def num_frames(self, num_frames: int) -> int:
        """Number of steps that come out for `num_frames` that go in: ceil(N / stride)."""
        return 1 if self.output == "utterance" else frame_count(num_frames, self.stride)

    def stream(
        self, feats: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Steps of the next frames of a stream, and the state for those after them.

        Arguments
        ---------
        feats : tensor (1, N, F)
        state : tensor or None
            Returned for the frames before; None at the start.

        Shape
        -----
        -> (1, N', D), as `forward` gives them for all frames together
        """
        raise TypeError(f"{type(self).__name__} is not causal and cannot stream")

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        raise TypeError(f"{type(self).__name__} does not define forward(feats, lengths=None)")

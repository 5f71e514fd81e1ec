"""A model on a stream: chunks of any size in, what the whole signal would give out."""

import copy
import warnings
from collections.abc import Iterator

import torch
from torch import nn

from ...processing.data.pieces import Pieces
from ..model import Model
from ..options import choice, number
from .frame_stream import CarriedPCEN, FrameStream, whole_clip_reason

#: How a model streams. "causal": step by step, exact, where no step of the encoder reads a later
#: frame. "frames": frames of the stream, and a decision on each window of them. "samples": the whole
#: model on each window of samples, for frontends that look at whole clips.
FORMS = ("causal", "frames", "samples")
#: Largest difference between a recorded encoder and itself, relative to its largest output.
RECORDED = 1e-4


class Stream:
    """A trained model on a stream, in bounded memory.

    What comes out does not depend on how the samples are divided into chunks:

    - "causal": the steps (n, C) that the model gives for the whole signal.
    - "frames": for each window of the frames that the frontend gives for the whole signal (with
      PCEN's state from its beginning), what normalisation, encoder and head give for it.
    - "samples": what the model gives for each window of the signal.

    A window ends every `chunk_ms`, and once more where the stream ends. The first is complete after
    `window_s`; a stream that is shorter is one window. The last window of the stream is that of the
    clip itself where a stream is as long as one window.

    Arguments
    ---------
    model : Model
        In evaluation, on the CPU; left as it is. For the form "samples" any callable from waveforms
        (1, T) to (1, C) with a `sample_rate`.
    chunk_ms : float
        Distance of the windows; rounded down to whole frames.
    window_s : float or None
        Length of the windows. None: of the clips that the model was trained on (`clip_s`).
    form : str
        One of `FORMS`, or "auto": the first that the model has. `reasons` says why not the others.

    Attributes
    ----------
    form, reasons : str, dict
    sample_rate : int
        In Hz.
    chunk_samples : int
        Samples from one window to the next.
    latency_s : float
        After so long at most, a sample has its part in what comes out.
    decided : int
        Windows (of "causal": steps) so far.

    Raises
    ------
    ValueError
        A model in training; a form that it does not have, with the reason; no length of window; a
        chunk or a window without a frame.

    Example
    -------
    >>> from auricle.lobes import create_model
    >>> stream = Stream(create_model("leaf", "bcresnet", num_classes=12).eval(), window_s=1.0)
    >>> [len(stream.feed(torch.zeros(size))) for size in (8000, 8000, 1, 1599)]
    [0, 0, 0, 1]
    >>> stream.form, stream.span_s(0)
    ('frames', (0.0, 1.0))
    """

    def __init__(
        self,
        model: Model | nn.Module,
        chunk_ms: float = 100.0,
        window_s: float | None = None,
        form: str = "auto",
    ):
        choice("form", form, ("auto", *FORMS))
        if getattr(model, "training", False):
            raise ValueError("the model is in training: call its eval() first")
        self.model, self.sample_rate = model, model.sample_rate
        chunk = self.sample_rate * number("chunk_ms", chunk_ms, above=0, high=60_000) / 1000
        self.hop = model.compute_features.hop if isinstance(model, Model) else 1
        self.step = int(chunk / self.hop + 1e-6)
        if self.step < 1:
            raise ValueError(
                f"chunk_ms={chunk_ms:g} holds no frame of the model, whose frames are "
                f"{1000 * self.hop / self.sample_rate:g} ms apart: give as much or more"
            )
        self.frames = None
        if isinstance(model, Model):
            self.frames = FrameStream(model.compute_features, self.step)
        self.reasons = self._reasons()
        self.form = next(name for name in FORMS if not self.reasons[name])
        if form != "auto":
            self.form = form
            if self.reasons[form]:
                raise ValueError(f'form="{form}" is not possible: {self.reasons[form]}')
        self._set_window(window_s)
        self.whole = self.decide = model
        if self.form == "samples":
            self.frames = None
        elif self.form == "frames":
            self.whole = WindowModel(model)
            features = model.compute_features.num_features
            self.decide = recorded(self.whole, self.window, features)
        self.reset()

    def _reasons(self) -> dict[str, str]:
        """Why the model does not have a form; empty where it has."""
        if not isinstance(self.model, Model):
            reason = "the model is no auricle Model, whose parts could be called one by one"
            return {"causal": reason, "frames": reason, "samples": ""}
        encoder, of_frames = self.model.embedding_model, whole_clip_reason(self.frames)
        of_steps = of_frames
        if not encoder.causal:
            of_steps = f"the encoder {type(encoder).__name__} reads later frames"
        elif not self._is_pointwise(self.model.mean_var_norm):
            of_steps = "the normalisation looks at the whole clip: train with normalization none"
        return {"causal": of_steps, "frames": of_frames, "samples": ""}

    @torch.no_grad()
    def _is_pointwise(self, normalization: nn.Module) -> bool:
        feats = _drawn(1, 8, self.model.compute_features.num_features)
        return torch.allclose(normalization(feats)[:, :2], normalization(feats[:, :2]))

    def _set_window(self, window_s: float | None) -> None:
        if self.form == "causal":
            self.window = None
        else:
            if window_s is None:
                window_s = getattr(self.model, "clip_s", None)
            if window_s is None:
                raise ValueError(
                    "the model does not say how long the clips were that it was trained on: give "
                    "window_s, the length of the windows in s"
                )
            samples = round(self.sample_rate * number("window_s", window_s, above=0, high=3600))
            self.window = samples
            if self.form == "frames":
                self.window = self.model.compute_features.num_frames(samples)
            if self.window < 1:
                raise ValueError(f"window_s={window_s:g} holds no frame of the model: give more")
            self.window_s = float(window_s)
        self.chunk_samples = self.step * self.hop
        ahead = 0
        if self.form != "samples":
            ahead = self.model.compute_features.reach[1]
        self.latency_s = (self.chunk_samples + ahead) / self.sample_rate

    def reset(self) -> None:
        """Begin a new stream."""
        self.encoder_state, self.decided, self.ended = None, 0, False
        if self.form == "samples":
            self.pieces = Pieces(self.chunk_samples, 0, self.chunk_samples - 1)
            self.ring = torch.zeros(0)
            return
        self.frames.reset()
        self.pieces = self.frames.pieces
        self.ring = torch.zeros(0, self.model.compute_features.num_features)

    def span_s(self, index: int) -> tuple[float, float]:
        """Where a window of a stream that is longer than one begins and ends, in s."""
        rate = self.sample_rate
        if self.form == "causal":
            start = index * self.hop * self.model.embedding_model.stride / rate
            return start, start
        rows = self.hop if self.form == "frames" else 1
        step = self.chunk_samples // rows
        first = -(-self.window // step)
        start = (step * (first + index) - self.window) * rows / rate
        return start, start + self.window_s

    @torch.no_grad()
    def feed(self, samples: torch.Tensor, last: bool = False) -> torch.Tensor:
        """What the next samples complete.

        Arguments
        ---------
        samples : tensor (n,)
            At `sample_rate`; any number, also none.
        last : bool
            The stream ends with these.

        Shape
        -----
        -> (K, C) for K windows, or (K, N', C) with an encoder of frames; "causal": (K, C) for K steps

        Raises
        ------
        ValueError
            The stream has ended, see `reset`; samples that are not (n,).
        """
        if self.ended:
            raise ValueError("the stream has ended: call reset() to begin another")
        if samples.dim() != 1:
            raise ValueError(f"samples must be (n,), got the shape {tuple(samples.shape)}")
        self.ended = last
        outputs = []
        for rows in self._rows(samples.float(), last):
            if self.form == "causal":
                outputs.append(self._steps(rows))
                self.decided += len(outputs[-1])
                continue
            self.ring = torch.cat([self.ring, rows])[-self.window :]
            if len(rows) and len(self.ring) == self.window:
                outputs.append(self.decide(self.ring[None]))
                self.decided += 1
        if last and not self.decided and len(self.ring) and self.form != "causal":
            outputs.append(self.whole(self.ring[None]))
            self.decided = 1
        return torch.cat(outputs) if outputs else self._nothing()

    def _nothing(self) -> torch.Tensor:
        """No output, of the right width where that is known."""
        labels = getattr(self.model, "labels", None)
        return torch.zeros(0, len(labels)) if labels else torch.zeros(0)

    def _rows(self, samples: torch.Tensor, last: bool) -> Iterator[torch.Tensor]:
        """Frames (n, F), or samples (n,), a chunk at a time."""
        if self.form != "samples":
            yield from self.frames.feed(samples, last)
        else:
            for piece, _ in self.pieces.feed(samples, last):
                yield piece

    def _steps(self, feats: torch.Tensor) -> torch.Tensor:
        feats = self.model.mean_var_norm(feats[None])
        if not feats.shape[1]:
            return self.model.classifier(
                feats.new_zeros(0, self.model.embedding_model.out_features)
            )
        steps, self.encoder_state = self.model.embedding_model.stream(feats, self.encoder_state)
        return self.model.classifier(steps)[0]

    def state(self) -> dict[str, torch.Tensor]:
        """All that the stream has kept, as plain tensors: `restore` goes on from there."""
        counts = [self.pieces.done, self.pieces.seen, self.decided, int(self.ended)]
        state = {"counts": torch.tensor(counts), "samples": self.pieces.samples, "ring": self.ring}
        if self.encoder_state is not None:
            state["encoder"] = self.encoder_state
        for name, part in self._carried():
            if part.state is not None:
                state[name] = part.state
        return {name: value.clone() for name, value in state.items()}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Go on where another stream of the same model and options was.

        Raises
        ------
        ValueError
            A state of another model or other options, or one that is damaged; the stream is begun
            anew then.
        """
        self.reset()
        try:
            counts, samples, ring = (state[name] for name in ("counts", "samples", "ring"))
            done, seen, decided, ended = (int(value) for value in counts)
            kept = seen - self.pieces.hop * max(0, done - self.pieces.context)
            fits = (
                min(done, seen, decided) >= 0
                and samples.shape == (kept,)
                and ring.shape[1:] == self.ring.shape[1:]
                and len(ring) <= (self.window or 0)
                and all(
                    state[name].shape == (1, len(part.pcen.values()[0]))
                    if name in state
                    else not done
                    for name, part in self._carried()
                )
                and all(torch.isfinite(value).all() for value in state.values())
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            fits = False
        if not fits:
            raise ValueError("the state is not one of a stream of this model with these options")
        self.pieces.done, self.pieces.seen, self.decided = done, seen, decided
        self.pieces.samples, self.ring, self.ended = samples.clone(), ring.clone(), bool(ended)
        self.encoder_state = state.get("encoder")
        for name, part in self._carried():
            part.state = state.get(name)

    def _carried(self) -> list[tuple[str, CarriedPCEN]]:
        """What has a state in the frontend, by the names of `state`."""
        parts = self.frames.carried if self.frames else ()
        return [(f"pcen_{number}", part) for number, part in enumerate(parts)]


class WindowModel(nn.Module):
    """Normalisation, encoder and head of a model, on frames (1, N, F); a copy."""

    def __init__(self, model: Model):
        super().__init__()
        parts = model.mean_var_norm, model.embedding_model, model.classifier
        self.parts = copy.deepcopy(nn.ModuleList(parts))
        self.per_utterance = model.embedding_model.output == "utterance"
        self.eval().requires_grad_(False)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        normalization, encoder, head = self.parts
        output = head(encoder(normalization(frames)))
        return output.squeeze(1) if self.per_utterance else output


def _drawn(*shape: int) -> torch.Tensor:
    """Random values that leave torch's global generator as it is."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def recorded(model: nn.Module, num_frames: int, num_features: int):
    """A model of windows of one size as a recorded graph, where that gives the same; else itself.

    A small net spends more time between its operators than in them: recorded, BC-ResNet-1 takes less
    than half the time.
    """
    example, other = _drawn(2, 1, num_frames, num_features)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = torch.jit.freeze(torch.jit.trace(model, example, check_trace=False))
            graph(other), graph(other)  # it is optimised as it runs
            expected, result = model(other), graph(other)
    except Exception:  # of whatever a lobe does that cannot be recorded
        return model
    same = expected.shape == result.shape and torch.isfinite(result).all()
    if same and (expected - result).abs().max() <= RECORDED * expected.abs().max():
        return graph
    return model

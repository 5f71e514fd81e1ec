"""Open an exported ONNX file like a bundle: checked, run by onnxruntime, asked by its task."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch

from ...processing.system.memory import available_bytes, size_text
from ..bundles.bundle import Bundle, load
from ..bundles.description import BundleError
from ..bundles.trained import Trained
from .onnx_file import INPUTS, MAX_BYTES
from .record import KEY, read_record

SUFFIX = ".onnx"
#: Memory that a session takes, in sizes of its file.
_COPIES = 4
_DOMAINS = ("", "ai.onnx", "com.microsoft")


def open_model(path: str | os.PathLike) -> "Bundle | OnnxModel":
    """Open a trained model: a bundle as `bundles.load` takes it, or an ONNX file of one.

    Raises
    ------
    BundleError
        What `bundles.load` or `OnnxModel.load` refuse.
    """
    is_file = Path(path).suffix == SUFFIX and not Path(path).is_dir()
    return OnnxModel.load(path) if is_file else load(path)


@dataclass(frozen=True)
class Framing:
    """Which lengths a file takes, in the place of its frontend."""

    window: int
    shortest_samples: int

    def num_frames(self, num_samples: int) -> int:
        """0 for a clip that is too short, else 1 or more."""
        return num_samples // self.shortest_samples


class OnnxModel(Trained):
    """An exported ONNX file in the place of its bundle.

    Arguments
    ---------
    data : bytes
        Of the file.
    owner : str
        What messages call it.

    Attributes
    ----------
    record : dict, what the file says of itself
    calibration : dict or None, what its bundle had as `calibration.json`
    digest : SHA-256 of the weights of its bundle; of int8, of the file

    Shape
    -----
    wavs (B, T), lengths (B,) relative to T or None -> as `Model`, for the one output that it has

    Raises
    ------
    BundleError
        See `load`.
    """

    def __init__(self, data: bytes, owner: str):
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise BundleError(
                f"{owner}: {error.name} is missing: pip install 'auricle[export]'"
            ) from None
        try:
            model = onnx.load_model_from_string(data)
        except Exception as error:  # protobuf raises its own classes
            raise BundleError(f"{owner} is no ONNX file, or a damaged one: {error}") from None
        entries = {entry.key: entry.value for entry in model.metadata_props}
        record = read_record(entries.get(KEY), owner)
        if record["format"] != "onnx":
            raise BundleError(f"{owner} is damaged: it says that it is {record['format']}")
        _check_graph(model, owner)
        del model
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
            inputs = [(one.name, len(one.shape)) for one in self._session.get_inputs()]
            outputs = len(self._session.get_outputs())
        except Exception as error:  # onnxruntime raises its own classes
            raise BundleError(f"onnxruntime cannot open {owner}: {str(error)[:500]}") from None
        if inputs != [(INPUTS[0], 2), (INPUTS[1], 1)] or outputs != 1:
            raise BundleError(
                f"{owner} is damaged: it takes {inputs} and gives {outputs} outputs, not "
                f"{' (B, T) and '.join(INPUTS)} (B,) and one"
            )
        self.describe(record["description"])
        self.record, self.calibration, self.owner = record, record["calibration"], owner
        self.sample_rate = self.description["sample_rate"]
        # What was rounded to 8 bits is another model than the bundle's weights.
        self.digest = hashlib.sha256(data).hexdigest()
        if not record["int8"]:
            self.digest = self.description.get("weights_sha256", self.digest)
        self.compute_features = Framing(record["window"], record["shortest_samples"])
        self.embedding_model = SimpleNamespace(output=record["encoder_output"])

    @classmethod
    def load(cls, path: str | os.PathLike) -> "OnnxModel":
        """Open a file without running any code that it brings, and without reading beside it.

        Raises
        ------
        BundleError
            No file, no ONNX, or not exported by auricle; a record with an entry of another type or
            out of range; weights in other files; operators that are not ONNX's; more than the
            memory holds; onnx or onnxruntime are not installed.
        """
        path = Path(path)
        if not path.is_file():
            raise BundleError(f"{path}: no such file")
        size, available = path.stat().st_size, available_bytes()
        if size > MAX_BYTES or (available is not None and _COPIES * size > available):
            free = "" if available is None else f", {size_text(available)} are free"
            raise BundleError(
                f"{path} has {size_text(size)}, and opening it takes {size_text(_COPIES * size)}"
                f"{free}; an ONNX file has {size_text(MAX_BYTES)} at most"
            )
        return cls(path.read_bytes(), str(path))

    def __call__(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return self.run(wavs, lengths, "scores")

    def steps(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Scores with their axis of steps, as `Model.steps`."""
        return self._with_steps(self(wavs, lengths))

    def embed(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings with their axis of steps, as `Model.embed`."""
        return self._with_steps(self.run(wavs, lengths, "embedding"))

    def _with_steps(self, values: torch.Tensor) -> torch.Tensor:
        return values[:, None] if self.embedding_model.output == "utterance" else values

    def run(
        self, wavs: torch.Tensor, lengths: torch.Tensor | None = None, output: str | None = None
    ) -> torch.Tensor:
        """What the file gives, where that is `output`, for clips of a length that it takes.

        Raises
        ------
        BundleError
            A file of another output; a clip that is too short or too long; what onnxruntime refuses.
        """
        record, samples = self.record, wavs.shape[1]
        if output not in (None, record["output"]):
            raise BundleError(
                f"{self.owner} gives {record['output']}, and {output} are needed: export the bundle "
                f"with the output {output}"
            )
        longest = record["longest_samples"]
        if samples < record["shortest_samples"] or (longest and samples > longest):
            raise BundleError(
                f"{self.owner} takes clips from {record['shortest_samples']} to "
                f"{longest or 'any number of'} samples, got {samples}"
            )
        lengths = torch.ones(len(wavs)) if lengths is None else lengths
        feed = zip(INPUTS, (wavs, lengths), strict=True)
        feed = {name: tensor.float().contiguous().numpy() for name, tensor in feed}
        try:
            (values,) = self._session.run(None, feed)
        except Exception as error:  # onnxruntime raises its own classes
            raise BundleError(f"onnxruntime cannot run {self.owner}: {str(error)[:500]}") from None
        axes = 2 if record["encoder_output"] == "utterance" and record["output"] != "frames" else 3
        wide = record["output"] != "scores" or values.shape[-1] == len(self.labels)
        if values.dtype != "float32" or (values.ndim, len(values)) != (axes, len(wavs)) or not wide:
            raise BundleError(
                f"{self.owner} is damaged: it gives {values.dtype} {values.shape} for {len(wavs)} "
                f"clips and {len(self.labels)} labels"
            )
        return torch.from_numpy(values)


def _check_graph(model, owner: str) -> None:
    """Refuse weights outside the file, and operators of somebody's own."""
    import onnx

    known = {*_DOMAINS, *(function.domain for function in model.functions)}
    for part in _messages(model):
        if isinstance(part, onnx.TensorProto) and (part.external_data or part.data_location):
            raise BundleError(f"{owner} has weights in another file: export it again as one file")
        if isinstance(part, onnx.NodeProto) and part.domain not in known:
            raise BundleError(
                f"{owner} has the operator {part.op_type!r:.80} of {part.domain!r:.80}, which is none "
                "of ONNX's own"
            )


def _messages(message) -> Iterator:
    """A message of protobuf and all that it holds."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                yield from _messages(part)

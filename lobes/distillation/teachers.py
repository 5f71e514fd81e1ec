"""Open frozen teachers for distillation: bundles, SpeechBrain folders, ONNX files.

* A bundle of auricle is a folder with `bundle.json`; opening it runs no code that it brings.
* A pretrained folder of SpeechBrain has a `hyperparams.yaml` and no `bundle.json`. The YAML can
  construct any object, so the folder is opened only where the user trusts it.
* An ONNX file maps waveforms (B, T) to embeddings (B, D) or (B, 1, D). `sample_rate` (Hz) and
  `task` in its metadata are checked.
"""

import hashlib
import logging
import os
from pathlib import Path

import torch

from ..bundles import bundle as pretrained
from ..bundles import find_bundle
from ..heads.angular_margin import CosineClassifier
from ..layers.masks import valid_lengths
from ..tasks import find_task

logger = logging.getLogger(__name__)


class TeacherError(ValueError):
    """A teacher that cannot be opened, or that does not fit its student."""


class Teacher:
    """A frozen model in evaluation mode, float32 and without gradients.

    It is not an `nn.Module`, so that a module which holds it does not register its parameters.

    Attributes
    ----------
    path : Path
    sample_rate : int or None
        In Hz; None where the file does not tell.
    task : str or None
    labels : list of str or None
        Classes in the order of the logits; None without classes.
    embedding_size : int

    Shape
    -----
    wavs (B, T), lengths (B,) relative or None -> embeddings (B, D), or logits (B, C)
    """

    sample_rate: int | None = None
    task: str | None = None
    labels: list[str] | None = None
    embedding_size: int

    def __init__(self, path: Path):
        self.path = path
        self.module: torch.nn.Module | None = None
        self.classifier: torch.nn.Module | None = None
        self.scale: float | None = None
        self._device = torch.device("cpu")

    def _freeze(self, module: torch.nn.Module) -> None:
        self.module = module.eval().requires_grad_(False)

    def __call__(
        self, wavs: torch.Tensor, lengths: torch.Tensor | None = None, logits: bool = False
    ) -> torch.Tensor:
        return self._output(wavs, lengths, logits).reshape(len(wavs), -1).float()

    @torch.no_grad()
    def _output(self, wavs, lengths=None, logits=False):
        self._move(wavs.device)
        # SpeechBrain's pooling draws noise, in evaluation too: the student's random numbers must
        # be the same with a cache of targets and without.
        devices = [wavs.device] if wavs.is_cuda else []
        with torch.random.fork_rng(devices), torch.autocast(wavs.device.type, enabled=False):
            embedding = self.embed(wavs.float(), lengths)
            return self.logits(embedding) if logits else embedding

    def _move(self, device: torch.device) -> None:
        if self.module is not None and device != self._device:
            self.module.to(device)
        self._device = device

    def embed(self, wavs, lengths):
        """(B, T) -> (B, D) or (B, 1, D)"""
        raise TypeError(f"{type(self).__name__} does not define embed")

    def logits(self, embedding):
        """Output of `embed` -> class logits (B, C) or (B, 1, C)"""
        from speechbrain.lobes.models.ECAPA_TDNN import Classifier as EcapaClassifier

        if self.classifier is None:
            raise TeacherError(f"the teacher {self.path} gives embeddings and no class logits")
        output = self.classifier(embedding)
        if not isinstance(self.classifier, (CosineClassifier, EcapaClassifier)):
            return output
        if self.scale is None:
            raise TeacherError(
                f"the teacher {self.path} gives cosines, which are logits only when multiplied by "
                "the scale it was trained with: set distillation.teacher_scale (30 in most recipes)"
            )
        return self.scale * output

    def digest(self) -> str:
        """SHA-256 over names and contents of the teacher's files."""
        files = [self.path] if self.path.is_file() else sorted(self.path.rglob("*"))
        total = hashlib.sha256()
        for file in files:
            if file.is_file():
                total.update(str(file.relative_to(self.path)).encode() + file.read_bytes())
        return total.hexdigest()

    def _check(self, sample_rate: int, task: str) -> None:
        expected = find_task(task)
        if self.task is not None and self.task not in (expected.name, *expected.also_called):
            raise TeacherError(
                f"the teacher {self.path} was trained for {self.task}, not {expected.name}"
            )
        if self.sample_rate is None:
            logger.warning("%s does not say its sample rate: %d Hz assumed", self.path, sample_rate)
        elif self.sample_rate != sample_rate:
            raise TeacherError(
                f"the teacher {self.path} takes {self.sample_rate} Hz, the student {sample_rate} "
                "Hz: both hear the same samples, so train at the teacher's rate (sample_rate: "
                f"{self.sample_rate}) or take another teacher"
            )
        # No description tells that the model runs and what it returns: try a second of noise.
        noise = torch.randn(2, sample_rate, generator=torch.Generator().manual_seed(0))
        try:
            output = self._output(0.1 * noise)
        except Exception as error:  # a foreign model may raise anything
            raise TeacherError(f"the teacher {self.path} fails on a waveform: {error}") from error
        if output.dim() == 3 and output.shape[1] == 1:
            output = output.squeeze(1)
        if output.dim() != 2 or len(output) != 2 or not torch.isfinite(output).all():
            raise TeacherError(
                f"the teacher {self.path} does not give one finite embedding per waveform: two "
                f"waveforms gave {tuple(output.shape)}"
            )
        self.embedding_size = output.shape[1]


class _BundleTeacher(Teacher):
    def __init__(self, path: Path, scale: float | None):
        super().__init__(path)
        try:
            bundle = pretrained.load(path)
        except pretrained.BundleError as error:
            raise TeacherError(f"teacher: {error}") from None
        if bundle.embedding_model.output != "utterance":
            raise TeacherError(
                f"the teacher {path} gives one vector per frame, a student needs one per recording"
            )
        self._freeze(bundle)
        self.task, self.sample_rate = bundle.description["task"], bundle.sample_rate
        self.labels = bundle.labels
        self.classifier = bundle.classifier
        self.scale = scale or bundle.description.get("margin_scale")

    def embed(self, wavs, lengths):
        return self.module.embed(wavs, lengths)


class _SpeechBrainTeacher(Teacher):
    def __init__(self, path: Path, scale: float | None):
        super().__init__(path)
        from speechbrain.inference.classifiers import EncoderClassifier

        try:
            model = EncoderClassifier.from_hparams(source=str(path), run_opts={"device": "cpu"})
        except Exception as error:  # code that the YAML names may raise anything
            raise TeacherError(f"SpeechBrain cannot open the teacher {path}: {error}") from error
        self._freeze(model)
        rate = getattr(model.hparams, "sample_rate", None)
        self.sample_rate = int(rate or model.audio_normalizer.sample_rate)
        encoder = getattr(model.hparams, "label_encoder", None)
        if encoder is not None and len(encoder):
            self.labels = [str(encoder.ind2lab[index]) for index in range(len(encoder))]
        self.classifier, self.scale = model.mods.classifier, scale

    def _move(self, device):
        super()._move(device)
        self.module.device = str(device)  # SpeechBrain moves the waveforms there

    def embed(self, wavs, lengths):
        return self.module.encode_batch(wavs, lengths)


class _OnnxTeacher(Teacher):
    def __init__(self, path: Path):
        super().__init__(path)
        try:
            import onnxruntime
        except ImportError:
            raise TeacherError(
                "a teacher in an ONNX file needs onnxruntime: pip install 'auricle[export]'"
            ) from None
        available = onnxruntime.get_available_providers()
        providers = ("CUDAExecutionProvider", "CPUExecutionProvider")
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), providers=[name for name in providers if name in available]
            )
        except Exception as error:  # onnxruntime raises its own classes
            raise TeacherError(f"the teacher {path} is no model for onnxruntime: {error}") from None
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 2:
            shapes = ", ".join(f"{one.name} {one.shape}" for one in inputs)
            raise TeacherError(
                f"the teacher {path} must take waveforms (B, T) and nothing else, it takes {shapes}"
            )
        self._input = inputs[0].name
        self._one_by_one = inputs[0].shape[0] == 1
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.task = metadata.get("task")
        self.sample_rate = int(metadata["sample_rate"]) if "sample_rate" in metadata else None

    def embed(self, wavs, lengths):
        valid = valid_lengths(lengths, wavs.shape[1])
        ends = [wavs.shape[1]] * len(wavs) if valid is None else valid.tolist()
        if not self._one_by_one and min(ends) == wavs.shape[1]:
            return self._run(wavs)
        # The graph has no input for lengths, so each item runs without its padding.
        rows = [self._run(wavs[i : i + 1, : max(1, end)]) for i, end in enumerate(ends)]
        return torch.cat(rows)

    def _run(self, wavs):
        output = self.session.run(None, {self._input: wavs.cpu().numpy()})[0]
        return torch.from_numpy(output).to(wavs.device)


def load_teacher(
    path: str | os.PathLike,
    sample_rate: int,
    task: str = "verification",
    trust: bool = False,
    scale: float | None = None,
) -> Teacher:
    """Open a teacher and check that it fits.

    Arguments
    ---------
    path : a bundle, a folder of SpeechBrain's, or an `.onnx` file
    sample_rate : int
        Of the student, in Hz.
    task : str
        The task that the teacher, where it names one, must be trained for.
    trust : bool
        Whether a `hyperparams.yaml` may run the code that it names.
    scale : float or None
        Factor from the cosines of its head to logits; None: the one in its bundle.

    Raises
    ------
    TeacherError
        Not a teacher, not trusted, of another task or sample rate, or not one embedding per
        recording.
    """
    path = find_bundle(path)
    if path.is_file() and path.suffix == ".onnx":
        teacher: Teacher = _OnnxTeacher(path)
    elif (path / pretrained.DESCRIPTION).is_file():
        teacher = _BundleTeacher(path, scale)
    elif (path / pretrained.SPEECHBRAIN).is_file():
        if not trust:
            raise TeacherError(
                f"the teacher {path} is a folder of SpeechBrain's, and opening it runs the code "
                "that its hyperparams.yaml names; if you trust where it comes from, set "
                "distillation.trust_teacher to true"
            )
        teacher = _SpeechBrainTeacher(path, scale)
    else:
        raise TeacherError(
            f"no teacher at {path}: neither a bundle (a folder with {pretrained.DESCRIPTION}), nor "
            f"a folder of SpeechBrain's (with {pretrained.SPEECHBRAIN}), nor an .onnx file"
        )
    teacher._check(sample_rate, task)
    return teacher

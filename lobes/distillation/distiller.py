"""Knowledge distillation: options, targets of the teacher, and the loss towards them."""

import hashlib
from pathlib import Path

import torch
from torch import nn

from ...processing.system.listing import first_of
from ...processing.system.names import nearest
from ..layers.masks import valid_lengths
from ..options import choice, failures, flag, number
from .losses import cosine_distance, decoupled_divergence, divergence, squared_distance
from .target_cache import TargetCache
from .teachers import TeacherError, load_teacher

#: Options of the YAML; with these values nothing is distilled.
DEFAULTS = {
    "teacher": None,
    "loss": "cosine",
    "alpha": 0.4,
    "temperature": 1.0,
    "beta": 8.0,
    "cache": False,
    "trust_teacher": False,
    "teacher_scale": None,
}
#: Losses that compare embeddings, and losses that compare class logits.
ON_EMBEDDINGS, ON_LOGITS = ("cosine", "mse"), ("kl", "dkd")
LOSSES = ON_EMBEDDINGS + ON_LOGITS
#: The name of the projection among a Brain's modules.
PROJECTION = "distillation_projection"


class Distiller:
    """The loss of a student towards its teacher.

    Holds the teacher, which is neither trained nor saved, and the projection of the student's
    embedding to the teacher's size, which is trained and belongs among the Brain's modules
    (optimiser, checkpoint), but in no bundle.

    Arguments
    ---------
    settings : dict
        As in the YAML, see `DEFAULTS`: `teacher` (path), `loss` ("cosine", "mse", "kl", "dkd"),
        `alpha` (weight of the teacher, the rest is that of the classes), `temperature` (kl and
        dkd), `beta` (dkd), `cache`, `trust_teacher`, `teacher_scale`.
    labels : list of str
        The student's classes in the order of its logits.
    sample_rate : int
        In Hz.
    embedding_size : int
        The student's.
    cache_folder : path or None
        Where `cache: true` keeps the teacher's outputs, in one folder per teacher.
    task : str
        The task that the teacher, where it names one, must be trained for.

    Attributes
    ----------
    alpha : float
    modules : nn.ModuleDict
        Empty, or the projection under `PROJECTION`.
    teacher : Teacher

    Raises
    ------
    ValueError
        Everything that is wrong with the settings; as a TeacherError, a teacher of another task
        or sample rate, or, with kl and dkd, of other classes.
    """

    def __init__(
        self,
        settings: dict,
        labels: list[str],
        sample_rate: int,
        embedding_size: int,
        cache_folder=None,
        task: str = "verification",
    ):
        settings = {**DEFAULTS, **settings}
        problems = distillation_problems({"distillation": settings})
        if settings["teacher"] is None:
            problems.append("distillation.teacher is not set: there is nothing to learn from")
        if settings["cache"] and cache_folder is None:
            problems.append("distillation.cache needs a cache_folder")
        if problems:
            raise ValueError("\n".join(problems))
        self.kind, self.alpha = settings["loss"], float(settings["alpha"])
        self.temperature, self.beta = float(settings["temperature"]), float(settings["beta"])
        self.teacher = load_teacher(
            settings["teacher"],
            sample_rate,
            task,
            trust=settings["trust_teacher"],
            scale=settings["teacher_scale"],
        )
        if self.on_logits:
            self._check_labels(list(labels))
        self.modules = nn.ModuleDict()
        if not self.on_logits and self.teacher.embedding_size != embedding_size:
            # No bias: a direction is projected, and only its direction is compared.
            self.modules[PROJECTION] = nn.Linear(
                embedding_size, self.teacher.embedding_size, bias=False
            )
        self.cache = None
        if settings["cache"]:
            self.cache = self._open_cache(Path(cache_folder), settings)

    @property
    def on_logits(self) -> bool:
        """Whether class logits are compared, and not embeddings."""
        return self.kind in ON_LOGITS

    def _check_labels(self, labels: list[str]) -> None:
        theirs, path = self.teacher.labels, self.teacher.path
        way_out = "; cosine and mse compare embeddings and need no common classes"
        if theirs is None:
            raise TeacherError(f"{self.kind}: the teacher {path} has no classes{way_out}")
        if theirs == labels:
            # Cosines without a scale are found out now and not in the first step.
            self.teacher(torch.zeros(1, self.teacher.sample_rate), logits=True)
            return
        only = {
            "only the teacher has": sorted(set(theirs) - set(labels)),
            "only the student has": sorted(set(labels) - set(theirs)),
        }
        differences = [f"{who} {first_of(names)}" for who, names in only.items() if names]
        why = "; ".join(differences) or "they are the same in another order"
        raise TeacherError(
            f"{self.kind} compares classes, and those of the teacher {path} ({len(theirs)}) are "
            f"not the student's ({len(labels)}): {why}{way_out}"
        )

    def _open_cache(self, folder: Path, settings: dict) -> TargetCache:
        what = f"{self.teacher.digest()} logits={self.on_logits} scale={settings['teacher_scale']}"
        name = hashlib.sha256(what.encode()).hexdigest()[:16]
        width = len(self.teacher.labels) if self.on_logits else self.teacher.embedding_size
        return TargetCache(folder / name, width)

    # -- in a training step ------------------------------------------------------------------------

    @torch.no_grad()
    def targets(
        self, wavs: torch.Tensor, lengths: torch.Tensor | None = None, ids: list[str] | None = None
    ) -> torch.Tensor:
        """Outputs of the teacher for the student's waveforms.

        Arguments
        ---------
        wavs : tensor (B, T)
        lengths : tensor (B,) or None
            Relative.
        ids : list of str
            Needed with a cache: names of the recording and, where it is cut, of the crop. An id
            must stand for the same samples throughout.

        Returns
        -------
        Embeddings (B, D) for cosine and mse, class logits (B, C) for kl and dkd.
        """
        if self.cache is None:
            return self.teacher(wavs, lengths, self.on_logits)
        if ids is None or len(ids) != len(wavs):
            raise ValueError("distillation.cache: targets(wavs, lengths, ids) needs an id per item")
        valid = valid_lengths(lengths, wavs.shape[1])
        samples = [wavs.shape[1]] * len(wavs) if valid is None else valid.tolist()
        # The number of samples keeps crops of different lengths apart.
        keys = [f"{name}|{count}" for name, count in zip(ids, samples, strict=True)]
        new = [index for index, key in enumerate(keys) if key not in self.cache]
        if new:
            new_lengths = None if lengths is None else lengths[new]
            outputs = self.teacher(wavs[new], new_lengths, self.on_logits)
            self.cache.add([keys[index] for index in new], outputs)
        return self.cache.rows(keys).to(wavs.device)

    def loss(
        self,
        student_embedding: torch.Tensor,
        student_logits: torch.Tensor | None,
        targets: torch.Tensor,
        classes: torch.Tensor | None = None,
        project: nn.Module | None = None,
    ) -> torch.Tensor:
        """Distance to the teacher, per item.

        Arguments
        ---------
        student_embedding : tensor (B, D) or (B, 1, D)
        student_logits : tensor (B, C), or None with cosine and mse
            Scaled, without a margin (`MarginSoftmax.logits`), as the teacher's.
        targets : tensor
            From `targets`.
        classes : int64 tensor (B,)
            Targets, for dkd.
        project : nn.Module or None
            The projection as wrapped by DDP; None: the bare one.

        Returns
        -------
        (B,), not weighted.
        """
        with torch.autocast(targets.device.type, enabled=False):
            if self.on_logits:
                logits = student_logits.float()
                if self.kind == "kl":
                    return divergence(logits, targets, self.temperature)
                if classes is None:
                    raise ValueError("dkd needs the true classes: loss(..., classes=...)")
                return decoupled_divergence(logits, targets, classes, self.temperature, self.beta)
            embedding = student_embedding.float().reshape(len(targets), -1)
            if PROJECTION in self.modules:
                project = self.modules[PROJECTION] if project is None else project
                embedding = project(embedding)
            compare = cosine_distance if self.kind == "cosine" else squared_distance
            return compare(embedding, targets)

    def terms(
        self, classification: torch.Tensor, distillation: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The two losses with their weights, (1 - alpha) and alpha; their sum is trained on."""
        return {
            "classification": (1 - self.alpha) * classification,
            "distillation": self.alpha * distillation,
        }


def distillation_problems(plain: dict, changing: tuple[str, ...] | list[str] = ()) -> list[str]:
    """List the errors in the distillation options of a configuration.

    Arguments
    ---------
    plain : dict
        With `distillation`, whose missing entries are those of `DEFAULTS`.
    changing : sequence of str
        Settings that make a recording differ from epoch to epoch ("random crops",
        "speed_perturbation", ...): with any of them, cached targets would be wrong.

    Example
    -------
    >>> distillation_problems({"distillation": {"alpha": 0.4, "temperature": 4.0}})  # doctest: +ELLIPSIS
    ['distillation.temperature is 4.0, which has no effect with cosine: ...']
    """
    options = plain.get("distillation") or {}
    if not isinstance(options, dict):
        return [f"distillation must map options to values, got {options!r}"]
    problems = [
        f"distillation.{key}: there is no such option{nearest(key, DEFAULTS)} There are: "
        f"{', '.join(DEFAULTS)}"
        for key in options
        if key not in DEFAULTS
    ]
    settings = {**DEFAULTS, **options}
    checks = [
        (choice, "loss", {"allowed": LOSSES}),
        (number, "alpha", {"above": 0, "high": 1}),
        (number, "temperature", {"above": 0}),
        (number, "beta", {"low": 0}),
        (flag, "cache", {}),
        (flag, "trust_teacher", {}),
    ]
    if settings["teacher_scale"] is not None:
        checks.append((number, "teacher_scale", {"above": 0}))
    problems += failures(settings, checks, "distillation.")
    if problems:
        return problems
    loss, teacher = settings["loss"], settings["teacher"]
    only_for = {"temperature": ON_LOGITS, "beta": ("dkd",), "teacher_scale": ON_LOGITS}
    problems += [
        f"distillation.{key} is {settings[key]}, which has no effect with {loss}: leave "
        f"it at {DEFAULTS[key]}, or choose {' or '.join(losses)}"
        for key, losses in only_for.items()
        if settings[key] != DEFAULTS[key] and loss not in losses
    ]
    if teacher is not None and not (isinstance(teacher, str) and Path(teacher).exists()):
        problems.append(f"distillation.teacher: there is no {teacher!r}")
    if teacher is not None and settings["cache"] and changing:
        problems.append(
            "distillation.cache keeps the teacher's output for a recording, which must be the same "
            f"in every epoch; it is not, because of {', '.join(changing)}: switch that off, or "
            "leave cache at false"
        )
    return problems

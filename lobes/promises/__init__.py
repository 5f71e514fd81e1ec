"""Checks that every lobe must pass, runnable on any frontend or encoder.

One function per promise, for the registered lobes and for one that is being written. A broken one
says what was got, what is promised and what to do about it.
"""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

import time
from collections.abc import Container

from ..build import build_encoder, build_frontend
from ..registry import ENCODERS, FRONTENDS, LobeError

# In the order in which they are shown.
from . import shapes, learning, robustness, instances, compiled, exported  # noqa: F401  # isort: skip
from .subject import (
    ENCODER_PROMISES,
    FRONTEND_PROMISES,
    BrokenPromise,
    PromiseResult,
    Subject,
)

BUILDERS = {"frontend": (FRONTENDS, build_frontend), "encoder": (ENCODERS, build_encoder)}


def subject_of(kind: str, name: str, options: dict | None = None) -> Subject:
    """A registered lobe as a subject.

    Arguments
    ---------
    kind : str
        "frontend" or "encoder".
    name : str
        Registered name.
    options : dict or None
        Options keyed by lobe name, as in the YAML.
    """
    if kind not in BUILDERS:
        raise LobeError(f'kind must be "frontend" or "encoder", got {kind!r}')
    registry, build = BUILDERS[kind]
    lobe, own = registry.get(name), _own(options, name)

    def factory_of(options):
        return lambda *sizes: build(name, *sizes, options=options)

    sizes = {}
    if kind == "encoder":
        sizes = {"features": lobe.example_features, "frames": lobe.example_frames}
        sizes["unfit"] = lambda features, frames: lobe.unfit(features, frames, **own)
    return Subject(
        kind,
        name,
        factory_of(options),
        options=own,
        factory_of=lambda own: factory_of({name: own}),
        **sizes,
    )


def _own(options: dict | None, name: str) -> dict:
    """The options of this lobe; none where they are no dict, which is refused when it is built."""
    own = options.get(name) if isinstance(options, dict) else None
    return own if isinstance(own, dict) else {}


def check_subject(subject: Subject, without: Container[str] = ()) -> list[PromiseResult]:
    """Run every promise of the subject's kind, `without` those of these names."""
    results = []
    promises = FRONTEND_PROMISES if subject.kind == "frontend" else ENCODER_PROMISES
    for name, kept in promises.items():
        if name in without:
            continue
        start = time.perf_counter()
        try:
            kept(subject)
            detail = ""
        except BrokenPromise as broken:
            detail = str(broken)
        seconds = time.perf_counter() - start
        results.append(PromiseResult(name, kept.title, not detail, detail, seconds))
    return results


def check(kind: str, name: str, options: dict | None = None) -> list[PromiseResult]:
    """Whether a registered lobe keeps its promises.

    Arguments
    ---------
    kind : str
        "frontend" or "encoder".
    name : str
        Registered name; load a plugin first.
    options : dict or None
        Options keyed by lobe name, as in the YAML.

    Returns
    -------
    One result per promise, in the order in which they are written.

    Raises
    ------
    LobeError
        Unknown lobe or options.

    Example
    -------
    >>> [result.name for result in check("frontend", "waveform") if not result.passed]
    []
    """
    subject = subject_of(kind, name, options)
    subject.build()
    return check_subject(subject)

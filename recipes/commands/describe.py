"""`auricle describe`: what a lobe is, its options and its size."""

from ...lobes.registry import LobeError, Registry
from ...processing.system.names import nearest
from ..reports.printing import show
from .list import REGISTRIES


def run(name: str, /, *, json: bool = False) -> None:
    """Tell what a lobe is, its options and its size.

    Arguments
    ---------
    name
        Of the lobe, which is built with its defaults.
    json
        Print JSON.
    """
    from ...lobes.build import options_of

    registry = _find(name)
    cls = registry.get(name)
    lobe = registry.describe(name)
    options = {
        option: "required" if parameter.default is parameter.empty else parameter.default
        for option, parameter in options_of(registry, name).items()
    }
    about = {key: getattr(lobe, key) for key in ("paper", "source", "origin")}
    built = _facts(registry, cls)
    record = {"name": lobe.name, "kind": registry.kind, "summary": lobe.summary, **about}
    lines = [
        f"{lobe.name} ({registry.kind}): {lobe.summary}",
        *(f"  {key:<7} {value or '-'}" for key, value in about.items()),
        "  options (key them by the lobe's name, e.g. "
        f"--{registry.kind}_options.{lobe.name}.{next(iter(options), 'NAME')} VALUE):",
        *(f"    {option} = {default!r}" for option, default in options.items()),
        "  built with its defaults:",
        *(f"    {fact}: {value}" for fact, value in built.items()),
    ]
    show({**record, "options": options, "built_with_defaults": built}, lines, json)


def _find(name: str) -> Registry:
    for registry in REGISTRIES.values():
        if name in registry.lobes:
            return registry
    known = [name for registry in REGISTRIES.values() for name in registry.names()]
    raise LobeError(
        f"no lobe is called {name!r}{nearest(name, known)} Known: {', '.join(known)}. "
        "A lobe of your own is added with --plugin FILE.py"
    )


def _facts(registry: Registry, cls: type) -> dict:
    """Sizes of a lobe built with its defaults (a frontend at 16 kHz; an encoder on 40 x 101)."""
    if registry.kind == "frontend":
        lobe = cls(sample_rate=16000)
        names = ("sample_rate", "hop", "window", "num_features", "normalization")
        sizes = {"frames_per_second": lobe.num_frames(16000)}
    else:
        needed = {"in_frames": 101} if cls.needs_in_frames else {}
        # What takes the waveform itself takes nothing else.
        lobe = cls(in_features=1 if cls.unfit(40, 101) else 40, **needed)
        names, sizes = ("in_features", "out_features", "output", "stride"), {}
    trainable = sum(p.numel() for p in lobe.parameters() if p.requires_grad)
    return {
        **{name: getattr(lobe, name) for name in names},
        **sizes,
        "trainable_parameters": trainable,
    }

"""Parser of `auricle describe`: what a lobe is, its options and its size."""

from __future__ import annotations

import json

from ...lobes.registry import LobeError, Registry, nearest
from .common import add_command, add_shared
from .list_lobes import REGISTRIES

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the command."""
    describe = add_command(commands, "describe", run, "what a lobe is, its options and its size")
    describe.add_argument("name")
    add_shared(describe, "json")


def run(arguments) -> int:
    """Print the facts of one lobe, built with its defaults."""
    from ...lobes.build import options_of

    registry = _find(arguments.name)
    cls = registry.get(arguments.name)
    lobe = registry.describe(arguments.name)
    options = {
        name: "required" if parameter.default is parameter.empty else parameter.default
        for name, parameter in options_of(registry, arguments.name).items()
    }
    facts = {
        "name": lobe.name,
        "kind": registry.kind,
        "summary": lobe.summary,
        "paper": lobe.paper,
        "source": lobe.source,
        "origin": lobe.origin,
        "options": options,
        "built_with_defaults": _facts(registry, cls),
    }
    if arguments.json:
        print(json.dumps(facts, indent=2, default=str))
        return 0
    print(f"{lobe.name} ({registry.kind}): {lobe.summary}")
    for key in ("paper", "source", "origin"):
        print(f"  {key:<7} {facts[key] or '-'}")
    print(
        "  options (key them by the lobe's name, e.g. "
        f"--{registry.kind}_options.{lobe.name}.{next(iter(options), 'NAME')} VALUE):"
    )
    for name, default in options.items():
        print(f"    {name} = {default!r}")
    print("  built with its defaults:")
    for name, value in facts["built_with_defaults"].items():
        print(f"    {name}: {value}")
    return 0


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
        given = {"in_frames": 101} if cls.needs_in_frames else {}
        # What takes the waveform itself takes nothing else.
        lobe = cls(in_features=1 if cls.unfit(40, 101) else 40, **given)
        names, sizes = ("in_features", "out_features", "output", "stride"), {}
    trainable = sum(p.numel() for p in lobe.parameters() if p.requires_grad)
    return {
        **{name: getattr(lobe, name) for name in names},
        **sizes,
        "trainable_parameters": trainable,
    }

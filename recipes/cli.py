"""The command `auricle`: what there is, whether it keeps its promises, and using what was trained."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from ..lobes.registry import ENCODERS, FRONTENDS, LobeError, Registry, load_plugin, nearest
from ..processing.data.phones import GLOTTAL_STOP_RULES, PHONE_SETS, SILENCE_RULES

__all__ = ["main"]

REGISTRIES = {"frontend": FRONTENDS, "encoder": ENCODERS}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 good, 1 a check failed, 2 wrong input)."""
    arguments = _parser().parse_args(argv)
    try:
        for plugin in arguments.plugin:
            load_plugin(plugin)
        status = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever read the output has seen enough (`| head`); what is left goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        print(f"auricle: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="auricle",
        description="Learn audio models from the waveform up.",
        epilog="Training: python recipes/speech_commands/train.py hparams/speech_commands.yaml",
        allow_abbrev=False,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE.py",
        help="a file that registers lobes of your own; it is run, so it must be trusted",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, run, text):
        added = commands.add_parser(
            name, parents=[common], help=text, description=text, allow_abbrev=False
        )
        added.set_defaults(run=run)
        return added

    listing = command("list", _list, "the lobes there are, with a line each")
    listing.add_argument("kind", choices=["frontends", "encoders"])
    listing.add_argument("--json", action="store_true", help="print JSON")

    describe = command("describe", _describe, "what a lobe is, its options and its size")
    describe.add_argument("name")
    describe.add_argument("--json", action="store_true", help="print JSON")

    check = command("check", _check, "run the promises of the contract on a lobe")
    check.add_argument("kind", choices=["frontend", "encoder"])
    check.add_argument("name")
    check.add_argument(
        "--options", type=json.loads, default={}, help='the lobe\'s options as JSON: {"layers": 4}'
    )
    check.add_argument("--json", action="store_true", help="print JSON")

    mini = command("mini", _mini, "write a small synthetic corpus in a data set's own layout")
    mini.add_argument("corpus", help="speech_commands")
    mini.add_argument("folder", help="where to; must not hold anything yet")
    mini.add_argument("--size", default="tiny", help="tiny (default) or small")
    mini.add_argument("--seed", type=int, default=0)

    predict = command("predict", _predict, "label audio files with a pretrained bundle")
    predict.add_argument("bundle", help="a folder that a run wrote: <output_folder>/bundle")
    predict.add_argument("files", nargs="+", metavar="FILE")
    predict.add_argument("--json", action="store_true", help="print one JSON object per file")

    filters = command(
        "filters", _filters, "the filters of a frontend, and how far training moved them"
    )
    filters.add_argument("what", metavar="BUNDLE_OR_NAME", help="a bundle, or a frontend's name")
    filters.add_argument(
        "--against", metavar="BUNDLE", help="compare with this one, not with its own beginning"
    )
    filters.add_argument("--out", default=".", metavar="FOLDER", help="where the picture goes")
    filters.add_argument(
        "--options", type=json.loads, help='a named frontend\'s options as JSON: {"window_ms": 30}'
    )
    filters.add_argument("--json", action="store_true", help="print JSON")

    score = command("score", _score, "phone, character or word error rate of transcripts")
    score.add_argument(
        "--hyp",
        required=True,
        metavar="FILE",
        help="what was recognised: a line per utterance, 'NAME TOKEN ...' or 'TOKEN ... (NAME)'",
    )
    score.add_argument("--ref", required=True, metavar="FILE", help="what was said, likewise")
    score.add_argument(
        "--unit", choices=["phone", "char", "word"], default="phone", help="default: phone"
    )
    score.add_argument("--phone-set", type=int, choices=PHONE_SETS, help="to score in; default: 39")
    for side in ("hyp", "ref"):
        score.add_argument(
            f"--{side}-phones",
            type=int,
            choices=PHONE_SETS,
            help=f"the set that --{side} is written in, to be folded; default: the set to score in",
        )
    score.add_argument("--silence", choices=SILENCE_RULES, help="default: keep")
    score.add_argument(
        "--glottal-stop", choices=GLOTTAL_STOP_RULES, help="the phone q; default: delete"
    )
    score.add_argument(
        "--format",
        choices=["auto", "kaldi", "trn"],
        default="auto",
        help="of both files; default: as the lines of each look",
    )
    score.add_argument(
        "--alignment", metavar="FILE", help="write the alignment of every utterance to this file"
    )
    score.add_argument(
        "--allow-empty",
        action="store_true",
        help="score references without a token: what is said there is inserted",
    )
    score.add_argument("--seed", type=int, default=0, help="of the interval's draws")
    score.add_argument("--json", action="store_true", help="print JSON")

    table = command("table", _table, "tables of results.json files, one per protocol and data set")
    table.add_argument("paths", nargs="+", metavar="PATH", help="results.json files or folders")
    table.add_argument("--readme", help="write the tables between the markers of this file")
    table.add_argument(
        "--check", action="store_true", help="with --readme: fail if it would change"
    )
    table.add_argument(
        "--columns",
        help="comma-separated: scores, centre_shift_hz, centre_shift_erb, bandwidth_shift_hz, "
        "divergence, forward, forward_backward, seeds, frontend_parameters, parameters, epochs, "
        "wall_s (empty columns are left out)",
    )
    table.add_argument(
        "--bench", metavar="FILE.json", help="times of the frontends, by tests/bench/frontends.py"
    )
    return parser


def _list(arguments) -> int:
    registry = REGISTRIES[arguments.kind.removesuffix("s")]
    lobes = registry.lobes.values()
    if arguments.json:
        rows = [
            {key: getattr(lobe, key) for key in ("name", "summary", "paper", "origin", "error")}
            for lobe in lobes
        ]
        print(json.dumps(rows, indent=2))
        return 0
    width = max((len(lobe.name) for lobe in lobes), default=0)
    for lobe in lobes:
        print(f"{lobe.name:<{width}}  {'BROKEN: ' + lobe.error if lobe.error else lobe.summary}")
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


def _describe(arguments) -> int:
    from ..lobes.build import options_of

    registry = _find(arguments.name)
    lobe = registry.describe(arguments.name)
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


def _facts(registry: Registry, cls: type) -> dict:
    """Sizes of a lobe built with its defaults (a frontend at 16 kHz; an encoder on 40 x 101)."""
    if registry.kind == "frontend":
        lobe = cls(sample_rate=16000)
        names = ("sample_rate", "hop", "window", "num_features", "normalization")
        sizes = {"frames_per_second": lobe.num_frames(16000)}
    else:
        given = {"in_frames": 101} if cls.needs_in_frames else {}
        lobe = cls(in_features=40, **given)
        names, sizes = ("in_features", "out_features", "output", "stride"), {}
    trainable = sum(p.numel() for p in lobe.parameters() if p.requires_grad)
    return {
        **{name: getattr(lobe, name) for name in names},
        **sizes,
        "trainable_parameters": trainable,
    }


def _check(arguments) -> int:
    from ..lobes.promises import check

    results = check(arguments.kind, arguments.name, {arguments.name: arguments.options})
    broken = [result for result in results if not result.passed]
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2, default=str))
        return 1 if broken else 0
    for result in results:
        print(f"{'kept  ' if result.passed else 'BROKEN'}  {result.title}")
        if not result.passed:
            print("        " + str(result.detail).replace("\n", "\n        "))
    print(
        f"{arguments.kind} {arguments.name}: "
        f"{len(results) - len(broken)} of {len(results)} promises kept"
    )
    return 1 if broken else 0


def _mini(arguments) -> int:
    from ..processing.data.mini import write_mini

    folder = write_mini(
        arguments.corpus, Path(arguments.folder), size=arguments.size, seed=arguments.seed
    )
    print(f"mini {arguments.corpus} ({arguments.size}) is in {folder}")
    return 0


def _predict(arguments) -> int:
    from ..lobes import pretrained

    bundle = pretrained.load(arguments.bundle)
    status = 0
    for file in arguments.files:
        try:
            label, probability = bundle.predict_file(file)
        except ValueError as error:
            # One bad file must not keep the others from being labelled.
            print(f"auricle: {error}", file=sys.stderr)
            status = 2
            continue
        if arguments.json:
            print(json.dumps({"file": file, "label": label, "probability": probability}))
        else:
            print(f"{file}\t{label}\t{probability:.3f}")
    return status


def _filters(arguments) -> int:
    from .filters import show_filters

    show_filters(
        arguments.what, arguments.against, arguments.out, arguments.json, arguments.options
    )
    return 0


def _score(arguments) -> int:
    from .score import score

    names = ("phone_set", "hyp_phones", "ref_phones", "silence", "glottal_stop")
    score(
        arguments.hyp,
        arguments.ref,
        arguments.unit,
        phones={name: getattr(arguments, name) for name in names},
        format=arguments.format,
        allow_empty=arguments.allow_empty,
        alignment=arguments.alignment,
        seed=arguments.seed,
        as_json=arguments.json,
    )
    return 0


def _table(arguments) -> int:
    from . import tables

    if arguments.check and not arguments.readme:
        raise ValueError("--check compares the tables with a file: give --readme FILE too")
    columns = tables.COLUMNS
    if arguments.columns is not None:
        columns = [name.strip() for name in arguments.columns.split(",") if name.strip()]
    bench = tables.load_bench(arguments.bench) if arguments.bench else None
    if arguments.readme:
        changed = tables.update_readme(
            arguments.readme, arguments.paths, check=arguments.check, columns=columns, bench=bench
        )
        print(f"{arguments.readme}: {'updated' if changed else 'up to date'}")
        return 0
    from .results import load_results

    print(tables.markdown_tables(load_results(arguments.paths), columns, bench=bench))
    return 0


if __name__ == "__main__":
    sys.exit(main())

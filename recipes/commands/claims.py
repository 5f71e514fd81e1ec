"""Parser of `auricle claims`: published claims about waveform models, measured."""

from __future__ import annotations

import json
import sys

from .common import add_command, add_shared, spellings

__all__ = ["add_parser", "run"]

#: Option -> field of the settings of a claim that trains.
_TRAINING = {
    "--results-folder": "results_folder",
    "--data-folder": "data_folder",
    "--seeds": "seeds",
    "--number-of-epochs": "epochs",
    "--dry": "dry",
    "--pretrained": "pretrained",
}


def add_parser(commands) -> None:
    """Add the command."""
    claims = add_command(
        commands, "claims", run, "measure what is claimed of waveform and spectrogram models"
    )
    claims.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="claims to measure; default: all that are computed without training",
    )
    claims.add_argument("--list", action="store_true", help="only list them")
    add_shared(claims, "json")
    training = claims.add_argument_group("claims that train networks")
    training.add_argument(
        *spellings("--results-folder"),
        metavar="FOLDER",
        help="where the runs go, and those that are there are read; default: results/claims",
    )
    training.add_argument(
        *spellings("--data-folder"), metavar="FOLDER", help="the corpus; default: mini"
    )
    training.add_argument(
        "--seeds", type=int, metavar="N", help="runs of each system; default: the claim's own"
    )
    training.add_argument(
        *spellings("--number-of-epochs"),
        dest="epochs",
        type=int,
        metavar="N",
        help="of each run; default: the claim's own",
    )
    training.add_argument(
        "--dry",
        action="store_true",
        default=None,
        help="train nothing: judge by the runs that are there",
    )
    training.add_argument(
        "--pretrained",
        metavar="FILE",
        help="weights of a transformer trained on images, for the claims about such weights",
    )


def run(arguments) -> int:
    """Print each claim with its measurement and verdict, whatever the verdict."""
    from ..music_emotion.claims.catalogue import claims, find_claims
    from ..music_emotion.claims.settings import Settings

    given = {
        option: getattr(arguments, field)
        for option, field in _TRAINING.items()
        if getattr(arguments, field) is not None
    }
    chosen = find_claims(arguments.names) if arguments.names else list(claims().values())
    if given and (
        arguments.list or not any(claim.trains for claim in find_claims(arguments.names))
    ):
        trained = ", ".join(claim.name for claim in claims().values() if claim.trains)
        arguments.usage_error(
            f"{', '.join(given)}: of claims that train, to be named ({trained or 'none'})"
        )
    if arguments.list:
        return _list(chosen, arguments.json)
    settings = Settings(**{_TRAINING[option]: value for option, value in given.items()})
    wanted = [claim for claim in chosen if arguments.names or not claim.trains]
    refusals: tuple[type[Exception], ...] = (ValueError,)
    if any(claim.trains for claim in wanted):
        from ..training.messages import RecipeError  # heavy, as training is

        refusals += (RecipeError,)
    findings, failed = [], False
    for claim in wanted:
        try:
            findings.append(claim.measure(settings))
        except refusals as error:  # an extra is not installed: the others can be measured
            failed = True
            print(f"auricle: claim {claim.name!r}: {error}", file=sys.stderr)
            continue
        if not arguments.json:
            print(findings[-1].text(), end="\n\n", flush=True)
    if arguments.json:
        print(json.dumps([found.as_dict() for found in findings], indent=2, ensure_ascii=False))
    elif not arguments.names:
        _tell_left_out([claim for claim in chosen if claim.trains])
    return 2 if failed else 0


def _list(chosen, as_json: bool) -> int:
    """A line per claim, or JSON."""
    if as_json:
        rows = [
            {"name": claim.name, "claim": claim.sentence, "trains": claim.trains}
            for claim in chosen
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    width = max(len(claim.name) for claim in chosen)
    for claim in chosen:
        print(
            f"{claim.name:<{width}}  {'trains  ' if claim.trains else 'computed'}  {claim.sentence}"
        )
    return 0


def _tell_left_out(trained) -> None:
    if not trained:
        return
    print("These train networks, and are measured when they are named:")
    for claim in trained:
        print(f"  auricle claims {claim.name}\n    {claim.sentence}")
    options = "--results_folder, --data_folder, --seeds, --number_of_epochs, --dry, --pretrained"
    print(f"Their options: {options}")

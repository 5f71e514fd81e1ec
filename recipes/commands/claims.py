"""`auricle claims`: published claims about waveform models, measured."""

from ..music_emotion.claims.finding import Settings
from ..reports.printing import show
from ..training.command_line import UsageError, changed
from .common import for_each


def run(
    names: list[str] = (), /, *, list_: bool = False, json: bool = False, settings: Settings
) -> int:
    """Measure what is claimed of waveform and spectrogram models.

    Each claim is printed with its measurement and verdict, whatever the verdict.

    Arguments
    ---------
    names : NAME
        Claims to measure. Default: all that are computed without training.
    list_
        Only list them.
    json
        Print JSON.

    Returns
    -------
    2 where a claim could not be measured.
    """
    from ..music_emotion.claims.catalogue import claims, find_claims

    chosen = find_claims(names) if names else [*claims().values()]
    options = changed(settings)
    if options and (list_ or not any(claim.trains for claim in find_claims(names))):
        trained = ", ".join(claim.name for claim in claims().values() if claim.trains)
        raise UsageError(
            f"{', '.join(options)}: of claims that train, to be named ({trained or 'none'})"
        )
    if list_:
        width = max(len(claim.name) for claim in chosen)
        rows = [{"name": c.name, "claim": c.sentence, "trains": c.trains} for c in chosen]
        lines = [
            f"{c.name:<{width}}  {'trains  ' if c.trains else 'computed'}  {c.sentence}"
            for c in chosen
        ]
        show(rows, lines, json)
        return 0
    measured = [claim for claim in chosen if names or not claim.trains]
    refusals: tuple[type[Exception], ...] = (ValueError,)
    if any(claim.trains for claim in measured):
        from ..training.messages import RecipeError  # heavy, as training is

        refusals += (RecipeError,)
    findings = []

    def measure(claim) -> None:
        try:
            findings.append(claim.measure(settings))
        except refusals as error:  # an extra is not installed: the others can be measured
            raise ValueError(f"claim {claim.name!r}: {error}") from error
        if not json:
            print(findings[-1].text(), end="\n\n", flush=True)

    status = for_each(measured, measure)
    trained = [] if names else [claim for claim in chosen if claim.trains]
    lines = [f"  auricle claims {claim.name}\n    {claim.sentence}" for claim in trained]
    if trained:
        lines.insert(0, "These train networks, and are measured when they are named:")
        lines.append(
            "Their options: --results_folder, --data_folder, --seeds, --number_of_epochs, --dry, "
            "--pretrained"
        )
    if json or lines:
        show([finding.as_dict() for finding in findings], lines, json)
    return status

"""`auricle convert`: somebody else's trained model as a bundle."""

from ..reports.printing import show


def run(
    source: str,
    /,
    *,
    to: str,
    labels: str | None = None,
    as_: str | None = None,
    json: bool = False,
) -> None:
    """Convert a model that was trained elsewhere to a bundle, and compare it with its own runtime.

    No code of the source is run, and nothing is downloaded. Nothing is written where the bundle
    does not compute what the source's runtime does.

    Arguments
    ---------
    source : SOURCE
        A file or a folder of weights.
    to : BUNDLE
        The folder of the bundle; it must be empty or not exist.
    labels : FILE
        The labels of the outputs in their order, one a line, where the file does not hold them.
    as_ : NAME
        Ask this source alone whether it is one of its files.
    json
        Print JSON.
    """
    from ...lobes.conversion import MissingLabelsError
    from ...lobes.conversion.proof import convert
    from ...processing.system.files import text_lines

    named = None if labels is None else [line for _, line in text_lines(labels)]
    try:
        report = convert(source, to, as_, named)
    except MissingLabelsError as error:
        raise ValueError(f"{error}: --labels FILE") from None
    converted, description = report.converted, report.converted.description
    lobes = f"{description['frontend']['name']} + {description['encoder']['name']}"
    outputs = len(description["labels"]) or "no"
    about = f"{report.source.about}: {lobes}, task {description['task']}, {outputs} labels"
    if report.difference is None:
        compared = f"not compared: {converted.runtime}"
    else:
        compared = (
            f"compared with {converted.runtime} on {report.signals} signals: the largest difference "
            f"is {report.difference:.1e} of the largest output"
        )
    lines = [
        about,
        compared,
        *(f"left out: {line}" for line in converted.left_out),
        *(f"projected: {line}" for line in converted.projected),
        f"wrote {report.bundle}; licence: {description['converted']['licence']}",
    ]
    record = {
        "bundle": str(report.bundle),
        "source": report.source.name,
        "description": description,
        "difference": report.difference,
        "runtime": converted.runtime,
        "left_out": converted.left_out,
        "projected": converted.projected,
    }
    show(record, lines, json)

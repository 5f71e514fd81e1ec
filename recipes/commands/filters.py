"""`auricle filters`: the filters of a frontend, and how far training moved them."""


def run(
    what: str,
    /,
    *,
    against: str | None = None,
    out: str = ".",
    options: dict | None = None,
    json: bool = False,
) -> None:
    """Show the filters of a frontend, and how far training moved them.

    Arguments
    ---------
    what : BUNDLE_OR_NAME
        A bundle, or a frontend's name.
    against : BUNDLE
        Compare with this one, not with its own beginning.
    out : FOLDER
        Where the picture goes.
    options
        A named frontend's options as JSON: {"window_ms": 30}.
    json
        Print JSON.
    """
    from ..inference.filters import show_filters

    show_filters(what, against, out, json, options)

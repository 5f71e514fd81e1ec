"""Filter shapes, the energy engine, compression and framing arithmetic."""

if not __name__.startswith("auricle."):
    raise ImportError(
        "this folder is the package auricle.processing.filterbank; install it with: "
        "pip install -e . and import it by that name"
    )

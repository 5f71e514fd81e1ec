"""Signal and data code without knowledge of any task."""

if not __name__.startswith("auricle."):
    raise ImportError(
        "this folder is the package auricle.processing; install it with: pip install -e . and import it "
        "by that name"
    )

"""One folder per data set: preparation, training, results."""

if not __name__.startswith("auricle."):
    raise ImportError(
        "this folder is the package auricle.recipes; install it with: pip install -e . and import it "
        "by that name"
    )

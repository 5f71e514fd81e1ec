"""Phone recognition on TIMIT, or on any table of recordings with phone strings."""

if not __name__.startswith("auricle."):
    raise ImportError(
        "this folder is the package auricle.recipes.timit; install it with: "
        "pip install -e . and import it by that name"
    )

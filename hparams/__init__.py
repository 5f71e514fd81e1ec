"""One complete YAML per data set, and what reads and checks them."""

if not __name__.startswith("auricle."):
    raise ImportError(
        "this folder is the package auricle.hparams; install it with: pip install -e . and import "
        "it by that name"
    )

"""Reading, checking, batching and augmenting audio, and the mini corpora."""

if not __name__.startswith("auricle."):
    raise ImportError(
        "this folder is the package auricle.processing.data; install it with: pip install -e . and import it "
        "by that name"
    )

"""Encoders: frames in, what a task needs out. One file, one published idea."""

if not __name__.startswith("auricle."):
    raise ImportError(
        "this folder is the package auricle.lobes.encoders; install it with: pip install -e . and import it "
        "by that name"
    )

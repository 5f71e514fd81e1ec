"""SpeechBrain Brains: a base and one per task."""

if not __name__.startswith("auricle."):
    raise ImportError(
        "this folder is the package auricle.lobes.brains; install it with: pip install -e . and import it "
        "by that name"
    )

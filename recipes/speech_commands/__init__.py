"""Keyword spotting on Speech Commands."""

if not __name__.startswith("auricle."):
    raise ImportError(
        "this folder is the package auricle.recipes.speech_commands; install it with: "
        "pip install -e . and import it by that name"
    )

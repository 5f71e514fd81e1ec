"""Music emotion: valence and arousal of songs in DEAM, EmoMusic and PMEmo."""

if not __name__.startswith("auricle."):
    raise ImportError(
        "this folder is the package auricle.recipes.music_emotion; install it with: "
        "pip install -e . and import it by that name"
    )

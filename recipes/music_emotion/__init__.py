"""Music emotion: valence and arousal of songs in DEAM, EmoMusic and PMEmo."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

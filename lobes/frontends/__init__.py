"""Frontends: waveform in, frames out. One file, one published idea."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

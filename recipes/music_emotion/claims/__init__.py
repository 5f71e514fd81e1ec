"""Measure claims about waveform and spectrogram models, one module per claim.

A module with a CLAIM (one sentence) and a function `measure` that returns a `Finding` is a claim,
under the name of its file. One that trains networks has `measure(settings)`. `catalogue` lists them
without importing any.
"""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

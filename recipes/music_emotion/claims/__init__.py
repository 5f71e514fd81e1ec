"""Claims about waveform and spectrogram models, each measured: one module per claim.

A module with a CLAIM (one sentence) is a claim, under the name of its file. TRAINS says whether
measuring it trains networks: then it has `measure(settings)`, otherwise `measure()`. Both return a
`Finding`. `catalogue` lists them without importing any.
"""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

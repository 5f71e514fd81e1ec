"""The fast filterbank engine: pooled energies of band-pass filters, in C and in torch operators."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

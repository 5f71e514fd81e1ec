"""The machine: files, memory, cache folder, compiler, busy cores."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

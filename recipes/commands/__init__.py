"""The commands of `auricle`: one module each, with `add_parser` and `run`.

Listing the commands imports every module here, so at their top they import nothing heavy.
"""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

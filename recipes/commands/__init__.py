"""The commands of `auricle`: one module each, of the command's name, with a function `run`.

The signature of `run` has the options, its docstring their help. What it returns is the exit
status; None is 0. Listing the commands imports every module here, so at their top they import
nothing heavy.
"""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

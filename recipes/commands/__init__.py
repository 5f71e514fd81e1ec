"""The commands of `auricle`: one module each, with `add_parser` and `run`.

Listing the commands imports every module here, so at their top they import nothing heavy.
"""

if not __name__.startswith("auricle."):
    raise ImportError(
        "this folder is the package auricle.recipes.commands; "
        "install it with: pip install -e . and import it by that name"
    )

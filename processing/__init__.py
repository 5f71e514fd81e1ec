"""Signal and data code without knowledge of any task."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

from .system.torch_pair import check_installed

check_installed()

"""Export: a trained model as one file of another runtime, made only where it gives the same."""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")


def __getattr__(name: str):
    if name == "Stream":
        from .stream import Stream

        return Stream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

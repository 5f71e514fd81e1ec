"""Messages of a run: its errors, and lines printed by the main process alone."""

from ...processing.system.terminal import printable


class RecipeError(Exception):
    """A run that cannot go on, in words for the person who started it."""


def tell(text: str) -> None:
    """Print on the main process."""
    from speechbrain.utils.distributed import if_main_process

    if if_main_process():
        print(printable(text, lines=True), flush=True)

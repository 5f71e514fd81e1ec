"""`auricle train`: a recipe by its name."""

from ..training.by_name import find_recipe
from ..training.messages import RecipeError


def run(recipe: str, /, *words: str) -> int:
    """Train and score by a recipe, as its own script does.

    Arguments
    ---------
    recipe
        A name of `auricle list recipes`.
    words : WORDS
        What the recipe is given: a YAML other than its own, and values of its keys; --help lists
        them.
    """
    try:
        main = find_recipe(recipe)
    except RecipeError as error:
        raise ValueError(error) from error
    return main(list(words))

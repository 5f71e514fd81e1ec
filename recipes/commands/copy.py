"""`auricle copy`: a recipe's YAML as a file of one's own."""

from pathlib import Path


def run(recipe: str, file: str, /) -> None:
    """Write a recipe's YAML with its comments, to change it and to train by it.

    Arguments
    ---------
    recipe
        A recipe of auricle's own, of `auricle list recipes`.
    file : FILE.yaml
        Where it goes; an existing file is not overwritten.
    """
    from ...hparams.include import expanded
    from ...hparams.loader import shipped
    from ...processing.system.files import write_text
    from ..training.by_name import recipes

    known = recipes()
    if recipe not in known:
        own = [name for name in known if shipped(name).is_file()]
        raise ValueError(f"no recipe is called {recipe!r}; auricle's own are {', '.join(own)}")
    if not shipped(recipe).is_file():
        raise ValueError(
            f"{recipe} is of {known[recipe].origin}: its YAML lies there, copy it from there"
        )
    path = Path(file)
    if path.suffix not in (".yaml", ".yml"):
        raise ValueError(f"{file} is no name of a YAML: give {path.stem or recipe}.yaml")
    if path.exists():
        raise ValueError(f"{path} exists, and nothing is overwritten: give another name")
    write_text(path, expanded(shipped(recipe)))
    print(f"wrote {path}; change it, and: auricle train {recipe} {path}")

"""Steps that the preparation of every data set shares: protocols, settings, problems, counts."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ...processing.data.manifest import SPLITS
from ...processing.system.listing import by_kind, first_of
from ...processing.system.names import nearest
from ...processing.system.rules import whole, wrong_values

# Arguments of `prepare` that a configuration says nothing about, though it may have the key.
_OWN = ("data_folder", "output_folder", "num_workers", "progress")


class PreparationError(ValueError):
    """A data set that cannot be prepared; the text lists what is wrong and what to do."""


class Protocols(dict):
    """Protocols by name."""

    def __init__(self, *protocols):
        super().__init__((protocol.name, protocol) for protocol in protocols)

    def find(self, name):
        """The protocol of that name.

        Raises
        ------
        ValueError
            No protocol has the name; the text names the nearest, and all.
        """
        if isinstance(name, str) and name in self:
            return self[name]
        raise ValueError(
            f"protocol {name!r} is not known{nearest(name, self)} There are {', '.join(self)}"
        )


def setting_problems(plain: Mapping, protocols: Protocols, least: Mapping[str, int]) -> list[str]:
    """What is wrong with the protocol, the whole numbers and skip_broken of a configuration.

    Arguments
    ---------
    plain : plain values of the YAML; what is absent is not checked.
    protocols : of the recipe.
    least : smallest value of each whole number by name.
    """
    problems = []
    if "protocol" in plain:
        try:
            protocols.find(plain["protocol"])
        except ValueError as error:
            problems.append(str(error))
    rules = {name: whole(low) for name, low in least.items()}
    problems += wrong_values(plain, rules, "{name} is {value!r}; it must be {what}")
    if not isinstance(plain.get("skip_broken", False), bool):
        problems.append(f"skip_broken is {plain['skip_broken']!r}; it can be true or false")
    return problems


def check_folder(folder: Path, role: str, remedy: str = "") -> None:
    """Raise a PreparationError when there is no such folder."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise PreparationError(f"{role} {folder} {what}. {remedy}".rstrip())


def subfolders(folder: Path) -> dict[str, Path]:
    """The visible folders in a folder by name; none where it may not be read."""
    try:
        paths = sorted(Path(folder).iterdir())
    except PermissionError:
        return {}
    return {path.name: path for path in paths if not path.name.startswith(".") and path.is_dir()}


def contents(folder: Path) -> str:
    """The first names in a folder, for an error."""
    return first_of(sorted(path.name for path in Path(folder).iterdir())) or "nothing"


def refuse_broken(
    problems: Iterable[tuple[str, str, str]], skip_broken: bool, remedy: str
) -> list[dict]:
    """Raise everything that cannot be used, or list it.

    Arguments
    ---------
    problems : (path, kind, reason that names the file) each.
    skip_broken : whether to go on without them.
    remedy : what else the reader can do, as the end of the error.

    Returns
    -------
    {"path", "kind", "reason"} each.

    Raises
    ------
    PreparationError
        There are problems and they are not to be skipped.
    """
    problems = list(problems)
    if problems and not skip_broken:
        listed = by_kind((kind, reason) for _, kind, reason in problems)
        raise PreparationError(
            f"{len(problems)} files or entries cannot be used:{listed}\n{remedy}"
        )
    return [{"path": path, "kind": kind, "reason": reason} for path, kind, reason in problems]


def count_splits(
    rows: list[dict], items: str, people: str, **further: Callable[[dict], int]
) -> dict[str, dict]:
    """Items, people, hours and more of each split; an empty split is an error.

    Arguments
    ---------
    rows : of the manifest.
    items, people : what rows and speakers are called in the counts.
    further : by the name of a further count, what a row adds to it.
    """
    counts = {}
    for split in SPLITS:
        part = [row for row in rows if row["split"] == split]
        counts[split] = {
            items: len(part),
            people: len({row["speaker"] for row in part if row["speaker"]}),
            "hours": round(sum(row["duration_s"] for row in part) / 3600, 4),
            **{name: sum(map(count, part)) for name, count in further.items()},
        }
    empty = [split for split, numbers in counts.items() if not numbers[items]]
    if empty:
        raise PreparationError(
            f"none of the {items} is left for {' and '.join(empty)}: nothing can be trained and "
            "scored without them"
        )
    return counts


def shared_speakers(rows: list[dict]) -> dict[tuple[str, str], list[str]]:
    """Speakers by the pairs of splits that share them."""
    speakers = {s: {row["speaker"] for row in rows if row["split"] == s} - {""} for s in SPLITS}
    pairs = (("train", "valid"), ("train", "test"), ("valid", "test"))
    shared = {(a, b): sorted(speakers[a] & speakers[b]) for a, b in pairs}
    return {pair: names for pair, names in shared.items() if names}


def prepare_configured(
    prepare: Callable, plain: Mapping, folder: Path, name: Iterable, **arguments
):
    """Prepare the data that a configuration describes; every rank gets the same record.

    Arguments
    ---------
    prepare : of the recipe; its arguments are the keys of the YAML, but seed, which is data_seed.
    plain : plain values of the YAML.
    folder : the data folder.
    name : what the rows depend on. Preparation depends on data and protocol, not on the model: runs
        with one name share it.
    arguments : further arguments.
    """
    shared = Path(plain["results_folder"]) / "prepared"
    keys = {key: key for key in inspect.signature(prepare).parameters if key not in _OWN}
    keys["seed"] = "data_seed"
    values = {key: plain[of] for key, of in keys.items() if of in plain}
    only_main = {"download": values.pop("download")} if "download" in values else {}
    values |= {
        "data_folder": folder,
        "output_folder": shared / "-".join([Path(folder).resolve().name, *map(str, name)]),
        **arguments,
    }
    return on_every_rank(prepare, values, **only_main)


def on_every_rank(prepare: Callable, arguments: Mapping, **only_main):
    """What `prepare` returns, on every rank: the main process prepares, the others find it done.

    Arguments
    ---------
    prepare : of the recipe; when all is there, it reads it instead of preparing again.
    arguments : its arguments, but `progress`: only the main process draws bars.
    only_main : further arguments for the main process, such as `download`.
    """
    from speechbrain.utils.distributed import run_on_main

    # Kept in a list and not returned: what is returned would be sent to the other ranks.
    records = []
    run_on_main(lambda: records.append(prepare(**arguments, **only_main, progress=True)))
    return records[0] if records else prepare(**arguments, progress=False)

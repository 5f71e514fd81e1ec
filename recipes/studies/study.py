"""The file of a study: recipe, fixed options, axes, seeds, published values; and its cells.

    about: Does LEAF beat mel on my recordings?     # the question, at the top of the report
    recipe: speech_commands
    fixed: {number_of_epochs: 20}                   # options, as on the command line
    axes:
        frontend: [mel, leaf]                       # values of the option of that name,
        encoder:                                    # or names for several options at once
            small: {encoder: small_cnn}
            large: {encoder: bcresnet, encoder_options.bcresnet.tau: 8}
    seeds: [1, 2, 3]
    baseline: {frontend: mel}                       # what the others are compared with

Nothing here imports torch: a study of thousands of cells is listed in seconds.
"""

import functools
import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ruamel.yaml.error import YAMLError

from ...hparams.include import plain_value
from ...hparams.loader import HERE, experiment_row, plain_values, shipped
from ...processing.system.files import TextError, json_digest, read_text
from ...processing.system.listing import first_of
from ...processing.system.names import nearest
from ..training.output_folder import FREE_KEYS

FOLDER = HERE / "studies"
#: Options that leave a result as it is: two cells that differ in them alone are one.
_FREE = (*FREE_KEYS, "output_folder", "results_folder", "device", "noprogressbar")
_FREE += ("plugin", "logger")
_MOST_CELLS = 100_000


class StudyError(ValueError):
    """Everything that is wrong with a study, one problem per line."""

    def __init__(self, name: str, problems: Sequence[str]):
        super().__init__(f"study {name}:\n" + "\n".join(f"  - {problem}" for problem in problems))


@dataclass(frozen=True)
class Table:
    """Published values, and the layout in which the report shows them beside the measured ones.

    Attributes
    ----------
    title, source : str
    rows, columns : str
        Axes; columns may be "", for a single column.
    values : dict
        Label of the row -> {label of the column: value, in the unit of the report}; a value may be
        None where nothing is published. Of a single column: {"": value}, in the file the value.
    where : dict
        Labels of all other axes.
    not_comparable : str
        Why no verdict is given, "" where there is no reason.
    """

    title: str
    rows: str
    columns: str
    values: Mapping[str, Mapping[str, float | None]]
    where: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    not_comparable: str = ""


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes
    ----------
    labels : dict
        Axis -> label.
    seed : int
    options : dict
        Option of the command line, dots for depth -> value.
    key : str
        Digest of all settings that make a result another one; equal for equal settings.
    """

    labels: Mapping[str, str]
    seed: int
    options: Mapping[str, object]
    key: str

    @property
    def name(self) -> str:
        """Of its folder: its labels and seed for people, and its key."""
        words = "-".join([*self.labels.values(), f"seed{self.seed}"])
        return f"{re.sub(r'[^A-Za-z0-9_.=-]+', '_', words)[:100]}-{self.key[:10]}"


@dataclass(frozen=True)
class Study:
    """A study as its file, and the command line, describe it; attributes as the keys of the file.

    Attributes
    ----------
    axes : dict
        Axis -> {label: {option: value}}.
    yaml : str
        Path of a YAML that takes the place of the recipe's own, or "".
    """

    name: str
    recipe: str
    about: str = ""
    yaml: str = ""
    experiment: str = ""
    fixed: Mapping[str, object] = field(default_factory=dict)
    axes: Mapping[str, Mapping[str, Mapping[str, object]]] = field(default_factory=dict)
    seeds: Sequence[int] = (1,)
    baseline: Mapping[str, str] = field(default_factory=dict)
    score: str = ""
    tables: Sequence[Table] = ()
    search: Mapping[str, Mapping] = field(default_factory=dict)

    def cells(self) -> list[Cell]:
        """Every cell, seeds last."""
        cells = []
        for labels in itertools.product(*self.axes.values()):
            chosen = dict(zip(self.axes, labels, strict=True))
            options = dict(self.fixed)
            for axis, label in chosen.items():
                options |= self.axes[axis][label]
            changed = {
                key: value
                for key, value in {**self._row, **options}.items()
                if key not in _FREE and _get(self._base, key) != value
            }
            (folder,) = self._values(options, "data_folder")
            for seed in self.seeds:
                identity = {"recipe": self.recipe, "mini": folder == "mini", "seed": seed} | changed
                cells.append(Cell(chosen, seed, {**options, "seed": seed}, json_digest(identity)))
        return cells

    def words(self, cell: Cell) -> list[str]:
        """The command line of a cell, without its output folder."""
        words = [self.yaml] if self.yaml else []
        words += ["--experiment", self.experiment] if self.experiment else []
        for key, value in cell.options.items():
            if key == "plugin" and isinstance(value, list):
                words += ["--plugin", *map(str, value)]
            else:
                words += [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
        return words

    def settings(self, cell: Cell, *keys: str) -> list:
        """Values of options of a cell, None where the recipe does not say."""
        return self._values(cell.options, *keys)

    def _values(self, options: Mapping, *keys: str) -> list:
        return [options.get(key, self._row.get(key, _get(self._base, key))) for key in keys]

    @functools.cached_property
    def _base(self) -> dict:
        path = Path(self.yaml) if self.yaml else shipped(self.recipe)
        return plain_values(path) if path.is_file() else {}

    @functools.cached_property
    def _row(self) -> dict:
        return flat(experiment_row(self.experiment, self.recipe)) if self.experiment else {}


def find_study(name: str, quick: bool = False) -> Study:
    """A study by the path of its file, or by the name of one that comes with auricle.

    Arguments
    ---------
    name
    quick : whether the file's `quick` section takes the place of what it has in common with it:
        the smallest sizes, to see that everything runs.

    Raises
    ------
    StudyError
        With everything that is wrong with the file; or no such study, with the nearest name.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        own = sorted(file.stem for file in FOLDER.glob("*.yaml"))
        if name not in own:
            raise StudyError(
                name,
                [
                    f"no study has this name{nearest(name, own)} auricle's own are "
                    f"{', '.join(own)}; one of yours is named by its file, NAME.yaml"
                ],
            )
        path = FOLDER / f"{name}.yaml"
    try:
        content = plain_value(read_text(path))
    except OSError as error:
        raise StudyError(name, [f"{path} cannot be read: {error.strerror}"]) from None
    except (YAMLError, TextError) as error:
        raise StudyError(name, [f"not YAML: {error}"]) from None
    return read_study(content, path.stem, path.parent, quick)


_KEYS = ("about", "recipe", "yaml", "experiment", "fixed", "axes", "seeds", "baseline", "score")
_KEYS += ("search",)
_TABLE_KEYS = ("title", "rows", "columns", "values", "where", "source", "not_comparable")


def read_study(content, name: str, folder: Path, quick: bool = False) -> Study:
    """A study from the content of its file; `folder` is what its paths are relative to."""
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise StudyError(name, [f"it must be a map of keys to values: {', '.join(_KEYS)}"])
    problems = [
        f"{key} is no key of a study{nearest(key, (*_KEYS, 'tables', 'quick'))}"
        for key in content
        if key not in (*_KEYS, "tables", "quick")
    ]
    if quick:
        if not isinstance(content.get("quick"), dict):
            raise StudyError(name, ["it has no `quick` section, which says how to make it small"])
        merged = {**content, **content["quick"]}
        merged["fixed"] = {**flat(content.get("fixed") or {}), **flat(merged.get("fixed") or {})}
        content, name = merged, f"{name}-quick"
    for key, kind in (
        *((name, dict) for name in ("fixed", "axes", "baseline", "search")),
        ("tables", list),
    ):
        if not isinstance(content.get(key) or kind(), kind):
            problems.append(f"{key} must be a {'map' if kind is dict else 'list'}")
    for key in ("about", "recipe", "yaml", "experiment", "score"):
        if not isinstance(content.get(key, ""), str):
            problems.append(f"{key} must be text, got {content[key]!r}")
    if not content.get("recipe"):
        problems.append("the key recipe is missing: a name of `auricle list recipes`")
    if problems:
        raise StudyError(name, problems)
    axes = {}
    for axis, values in (content.get("axes") or {}).items():
        axes[str(axis)] = _axis(str(axis), values, problems)
    seeds = _seeds(content.get("seeds", [1]), problems)
    yaml = content.get("yaml", "")
    study = Study(
        name,
        content["recipe"],
        content.get("about", ""),
        str((folder / yaml).resolve()) if yaml else "",
        content.get("experiment", ""),
        flat(content.get("fixed") or {}),
        axes,
        seeds,
        {str(axis): _label(value) for axis, value in (content.get("baseline") or {}).items()},
        content.get("score", ""),
        _tables(content.get("tables") or [], problems),
        content.get("search") or {},
    )
    return _checked(study, problems, is_part=quick)


def changed(
    study: Study,
    axes: Sequence[str],
    seeds: str,
    options: Sequence[str],
    data_folder: str | None = None,
    plugins: Sequence[str] = (),
) -> Study:
    """A study with axes, seeds and fixed options of the command line.

    Arguments
    ---------
    study
    axes : "NAME=a,b" each: some labels of an axis, or a new axis over an option.
    seeds : "1-3" or "1,5", "" for those of the study.
    options : "NAME=VALUE" each.
    data_folder : of the recipe; "mini", or a path, which is made absolute.
    plugins : files that register lobes, for every cell.
    """
    problems: list[str] = []
    new_axes, fixed = dict(study.axes), dict(study.fixed)
    for text in axes:
        axis, equals, values = text.partition("=")
        labels = [word for word in values.split(",") if word]
        if not equals or not labels:
            problems.append(f"--axis {text}: give --axis NAME=VALUE,VALUE")
            continue
        known = study.axes.get(axis, {})
        named = {word: known.get(word) for word in labels}
        if all(named.values()):
            new_axes[axis] = named
        elif any(set(options) != {axis} for options in known.values()):
            unknown = first_of([word for word, options in named.items() if options is None])
            problems.append(
                f"--axis {axis}: {unknown} is none of its values, {', '.join(known)}; a further "
                "one is described in the study's file"
            )
        else:
            new_axes[axis] = _axis(axis, [_value(word) for word in labels], problems)
    for text in options:
        key, equals, value = text.partition("=")
        if equals:
            fixed[key] = _value(value)
        else:
            problems.append(f"--set {text}: give --set NAME=VALUE")
    if plugins:
        fixed["plugin"] = [str(Path(plugin).absolute()) for plugin in plugins]
    if data_folder:
        is_mini = data_folder == "mini"
        fixed["data_folder"] = (
            data_folder if is_mini else str(Path(data_folder).expanduser().absolute())
        )
    values = _seeds(seeds, problems) if seeds else study.seeds
    kept = {axis: label for axis, label in study.baseline.items() if label in new_axes[axis]}
    part = replace(study, axes=new_axes, fixed=fixed, seeds=values, baseline=kept)
    return _checked(part, problems, is_part=True)


def flat(options: Mapping, prefix: str = "") -> dict:
    """{"encoder_options": {"bcresnet": {"tau": 2}}} as {"encoder_options.bcresnet.tau": 2}."""
    result: dict = {}
    for key, value in options.items():
        if isinstance(value, dict) and value:
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def _get(tree, dotted: str):
    for key in dotted.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _value(word: str):
    """A word of the command line as YAML, text where it is none."""
    try:
        return plain_value(word)
    except YAMLError:
        return word


def _label(value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _axis(axis: str, values, problems: list[str]) -> dict[str, dict]:
    if isinstance(values, list) and values:
        labels = [_label(value) for value in values]
        if twice := [label for label, count in Counter(labels).items() if count > 1]:
            problems.append(f"axis {axis} has {first_of(twice)} twice")
        return {label: {axis: value} for label, value in zip(labels, values, strict=True)}
    if isinstance(values, dict) and values:
        if all(isinstance(options, dict) and options for options in values.values()):
            return {str(label): flat(options) for label, options in values.items()}
    problems.append(
        f"axis {axis} must be a list of values, or a map of names to options, got {values!r:.80}"
    )
    return {}


def _seeds(value, problems: list[str]) -> list[int]:
    """[1, 2], 3, "1-3" or "1,5"."""
    seeds: list[int] = []
    for part in str(value).strip("[] ").replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 20:
            problems.append(f"seeds {value!r}: give whole numbers, such as 1,5 or 1-3")
            return [1]
        seeds += range(int(first), int(last or first) + 1)[: _MOST_CELLS + 1]
    return sorted(set(seeds))


def _tables(tables: list, problems: list[str]) -> list[Table]:
    made = []
    for number, table in enumerate(tables, start=1):
        named = table if isinstance(table, dict) else {}
        where = f"table {number} ({named.get('title', 'no title')})"
        unknown = [str(key) for key in named if key not in _TABLE_KEYS]
        lacking = [key for key in ("title", "rows", "values") if not named.get(key)]
        if unknown or lacking:
            problems.append(f"{where}: not known {unknown or 'nothing'}, missing {lacking}")
            continue
        rows = named["values"] if isinstance(named["values"], dict) else {}
        if not named.get("columns"):
            rows = {label: {"": value} for label, value in rows.items()}
        cells = {_label(label): row for label, row in rows.items() if isinstance(row, dict)}
        wrong = [
            f"{label}.{column}: {value!r}"
            for label, row in cells.items()
            for column, value in row.items()
            if value is not None
            and (isinstance(value, bool) or not isinstance(value, (int, float)))
        ]
        if wrong or len(cells) < len(rows) or not cells:
            problems.append(
                f"{where}: values are a map of rows to maps of columns to numbers: {first_of(wrong)}"
            )
            continue
        values = {row: {_label(c): v for c, v in of.items()} for row, of in cells.items()}
        where = {str(axis): _label(label) for axis, label in (named.get("where") or {}).items()}
        made.append(Table(**{"columns": "", **named, "values": values, "where": where}))
    return made


def _checked(study: Study, problems: list[str], is_part: bool) -> Study:
    """The study, where it is one; published values of cells that a part lacks are left out."""
    number = len(study.seeds)
    for labels in study.axes.values():
        number *= len(labels)
    if number > _MOST_CELLS:
        problems.append(f"it has {number:,} cells; at most {_MOST_CELLS:,} are run in one study")
    problems += [
        f"baseline {axis}: {label} is no value of an axis of the study"
        for axis, label in study.baseline.items()
        if label not in study.axes.get(axis, {})
    ]
    if study.experiment:
        try:
            experiment_row(study.experiment, study.recipe)
        except ValueError as error:
            problems.append(str(error))
    if study.yaml and not Path(study.yaml).is_file():
        problems.append(f"yaml: {study.yaml} is not there")
    if not is_part:
        for table in study.tables:
            problems += _unknown_cells(study, table)
    if problems:
        raise StudyError(study.name, problems)
    return study


def _unknown_cells(study: Study, table: Table) -> list[str]:
    named = {table.rows: set(table.values), table.columns: set().union(*table.values.values())}
    named |= {axis: {label} for axis, label in table.where.items()}
    if not table.columns:
        del named[""]
    problems = [
        f"{table.title}: the axis {axis} has no place" for axis in study.axes if axis not in named
    ]
    for axis, labels in named.items():
        if axis not in study.axes:
            problems.append(f"{table.title}: {axis} is no axis of the study")
        elif unknown := sorted(labels - set(study.axes[axis])):
            problems.append(
                f"{table.title}: published values of a cell that does not exist: {axis} "
                f"{first_of(unknown)}; there are {', '.join(study.axes[axis])}"
            )
    return problems

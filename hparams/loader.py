"""Read a recipe's YAML and its command line; refuse unknown keys, wrong types and abbreviations.

HyperPyYAML takes a mistyped nested key without a word, and SpeechBrain's argument parser swallows
an override whose name abbreviates one of its own options. Here every name is matched exactly and
all problems are reported in one message.
"""

import dataclasses
import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, get_args, get_origin

from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from ..processing.system.files import TextError
from ..processing.system.names import nearest
from .include import IncludeError, expanded, parse, plain_value

HERE = Path(__file__).parent
#: Maps whose keys are lobe names; the registry checks them (`auricle.lobes.build`).
OPEN_MAPS = ("frontend_options", "encoder_options")
#: Fields of RunOptions that are no option: what `load_hparams` fills in, and a map of colours.
NO_RUN_OPTIONS = ("overridden_args", "param_file", "tqdm_barcolor")


class ConfigError(ValueError):
    """Everything that is wrong with a configuration, one problem per line."""

    def __init__(self, problems: Iterable[str], file: str = ""):
        self.problems = list(problems)
        count = len(self.problems)
        title = "1 problem" if count == 1 else f"{count} problems"
        title += f" in the configuration {file}".rstrip()
        super().__init__(f"{title}:\n" + "\n".join(f"  - {p}" for p in self.problems))


@dataclasses.dataclass
class Config:
    """A checked configuration, not yet built.

    Attributes
    ----------
    path : the YAML file
    overrides : what the command line (and the experiment's row) changes
    plain : the YAML's scalars, lists and maps with the overrides applied; tags are not resolved
    run_opts : SpeechBrain's RunOptions
    schema : the recipe, whose shipped YAML holds the defaults
    experiment : the row of `experiments.yaml` that was applied, or None
    logger : the tracker that follows the training, as given, or None
    """

    path: Path
    overrides: dict
    plain: dict
    run_opts: object
    schema: str
    experiment: str | None = None
    logger: str | None = None

    def build(self) -> dict:
        """Construct every object of the YAML.

        Raises
        ------
        ConfigError
            When HyperPyYAML or a builder refuses; their own message is inside.
        """
        from hyperpyyaml import load_hyperpyyaml

        stream = io.StringIO(expanded(self.path))
        stream.name = str(self.path)  # what `!include:` of HyperPyYAML is relative to
        try:
            return load_hyperpyyaml(stream, self.overrides)
        except (ValueError, TypeError, LookupError, OSError, RecursionError) as error:
            # A TypeError of HyperPyYAML carries the whole signature; the cause says what is wrong.
            cause = error.__cause__ or error
            raise ConfigError([f"{self.path.name} cannot be built: {cause}"]) from error


def shipped(name: str | Path) -> Path:
    """Path of a recipe's own YAML, e.g. `shipped("speech_commands")`.

    A recipe that does not come with auricle is named by the path of its YAML.
    """
    return Path(name) if str(name).endswith((".yaml", ".yml")) else HERE / f"{name}.yaml"


def shipped_defaults(name: str) -> dict:
    """Plain values of a YAML that comes with auricle; tags are not resolved."""
    return plain_values(shipped(name))


def plain_values(path: Path) -> dict:
    """Plain values of a YAML; tags are not resolved."""
    return _plain(_read_tree(path))


def experiment_row(name: str, schema: str) -> dict:
    """The values that an experiment of `experiments.yaml` changes.

    Raises
    ------
    ConfigError
        No such experiment, one of another recipe, or one with unknown keys.
    """
    problems: list[str] = []
    row = _experiment_row(name, schema, problems)
    if problems:
        raise ConfigError(problems)
    return row


def load_hparams(
    argv: list[str],
    schema: str | Path,
    checks: Iterable[Callable[[dict], list[str]]] = (),
) -> Config:
    """Read `[FILE] --key value ...` and check all of it before anything is built.

    Arguments
    ---------
    argv : list of str
        The command line without the program: the YAML file, then options in any order.
        `--plugin FILE.py` (repeatable) loads lobes; `--experiment NAME` applies a row of
        `experiments.yaml`; `--logger NAME` names a tracker; a name of SpeechBrain's RunOptions goes there; a name of the YAML
        (dots go deeper: `--frontend_options.leaf.num_features 64`) overrides it.
    schema : str or Path
        The recipe whose shipped YAML says which keys there are; or the path of a YAML that does.
    checks : callables
        Each takes the plain values and returns a list of problems.

    Raises
    ------
    ConfigError
        With every problem found.
    """
    from speechbrain.utils.run_opts import RunOptions

    run_names = {field.name for field in dataclasses.fields(RunOptions)}
    problems: list[str] = []
    path, plugins, words, run_given, given = _split(argv, run_names, problems)
    experiment, logger = words["experiment"], words["logger"]

    schema, named = str(schema), path
    path = Path(path) if path else shipped(schema)
    if not path.is_file():
        raise ConfigError([f"no such file: {path}. The recipe's own is {_shown(schema)}"])
    tree, schema_tree = _read_tree(path), _read_tree(shipped(schema))
    problems += _unknown_in_file(path, tree, schema_tree)
    problems += _clashes(tree, run_names)
    wrong = _wrong_types(tree, schema_tree)

    if plugins:
        from auricle.lobes import load_plugin

        for plugin in plugins:
            try:
                load_plugin(plugin)
            except ValueError as error:
                problems.append(str(error))

    overrides: dict = {}
    if experiment:
        _merge(overrides, _experiment_row(experiment, schema, problems))
    known = {**dict.fromkeys(tree), **dict.fromkeys(run_names - {*NO_RUN_OPTIONS})}
    for dotted, text in given:
        keys = dotted.split(".")
        why = _why_refused(keys, tree, known)
        if why:
            problems.append(why)
            continue
        try:
            branch = {keys[-1]: _value(keys, text, tree)}
        except YAMLError:
            problems.append(f"{_option(keys)}: {text!r} is not a plain YAML value")
            continue
        for key in reversed(keys[:-1]):
            branch = {key: branch}
        problems += _unknown_below(branch, tree, "")
        _merge(overrides, branch)
    problems += [
        f"{key} has no default: give --{key} VALUE"
        for key, value in tree.items()
        if _tag(value) == "!PLACEHOLDER" and key not in overrides
    ]

    wrong += _wrong_types(overrides, tree)
    problems += [problem for _, problem in wrong]
    defaults = _plain(schema_tree)
    plain = {**defaults, **_plain(tree)}
    _merge(plain, overrides)
    # The checks need every key, with a value of its kind; what is wrong is reported already.
    checked = {**plain, **{key: defaults[key] for key, _ in wrong if key in defaults}}
    for check in checks:
        problems += check(checked)
    if problems:
        raise ConfigError(problems, named)
    run_opts = RunOptions(**run_given, overridden_args=set(run_given))
    return Config(path, overrides, plain, run_opts, schema, experiment or None, logger or None)


def usage(schema: str | Path, program: str) -> str:
    """`--help` of a recipe: its YAML's keys, defaults and comments, and how to give them.

    Arguments
    ---------
    schema : as of `load_hparams`.
    program : the script, or the command and its name for the recipe.
    """
    own = _shown(schema)
    file, one, many = "[FILE.yaml]", program, f"-m {program}"
    if program.endswith(".py"):
        one, many = f"python {program}", program
        file = own if own.startswith("hparams/") else file
    lines = [
        f"usage: {one} {file} [--KEY VALUE ...] [--plugin FILE.py ...]",
        f"       torchrun --nproc_per_node=N {many} {file} ...",
        "",
        "Every key of the YAML can be given on the command line; dots go deeper,",
        "e.g. --frontend leaf --frontend_options.leaf.num_features 64",
        "--experiment NAME applies a row of hparams/experiments.yaml before that.",
        "--logger tensorboard | wandb | mlflow shows losses, scores, rates and filters as they change.",
        "SpeechBrain's run options (--device cpu, --precision bf16, --noprogressbar, --test_only,",
        "--ckpt_interval_steps N, ...) work too. Lobes: auricle list frontends | encoders",
        "",
        f"Keys of {own} and their defaults:",
    ]
    tree, hidden = _read_tree(shipped(schema)), False
    for line in expanded(shipped(schema)).splitlines():
        if key := re.match(r"(\w+):", line):
            hidden = _is_object(tree[key[1]])
        if not hidden and not line.startswith("# objects"):
            lines.append("  " + line)
    return "\n".join(lines)


def _shown(schema: str | Path) -> str:
    """How a schema is named in a command."""
    own = shipped(schema)
    return f"hparams/{own.name}" if own.parent == HERE else str(own)


# -- the command line ------------------------------------------------------------------------------


def _split(argv, run_names, problems):
    """Sort the words of a command line by whom they are for; names are matched exactly."""
    path, plugins, run_given, given = "", [], {}, []
    whole = {"experiment": "", "logger": ""}
    words = list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            if path:
                problems.append(f"unexpected word {word!r}: options are given as --name value")
            path = path or word
            continue
        name, equals, value = word[2:].partition("=")
        values = [value] if equals else []
        while not equals and words and not words[0].startswith("--"):
            values.append(words.pop(0))
        if not values and name not in run_names:
            problems.append(f"--{name} needs a value: --{name} VALUE")
        elif name == "plugin":
            plugins += values
        elif name in whole:
            whole[name] = " ".join(values)
        elif name in run_names and name not in NO_RUN_OPTIONS:
            try:
                run_given[name] = _run_value(name, values)
            except ValueError as error:
                problems.append(str(error))
        elif len(values) > 1:
            problems.append(
                f"--{name} got {len(values)} values {values}; quote a value with spaces"
            )
        else:
            given.append((name, values[0]))
    return path, plugins, whole, run_given, given


def _value(keys: list[str], text: str, tree):
    """A word of the command line as the value of a key: text as it is, everything else as YAML.

    A folder may be called `2026_11_20`, `a #2` or `[a]`.

    Raises
    ------
    YAMLError
        No text is wanted, and it is no YAML, or has a tag.
    """
    default = tree
    for key in keys:
        default = default.get(key) if isinstance(default, dict) else None
    if _is_text(default):
        return text
    value = plain_value(text)
    if default is None and keys[-1].endswith("_folder"):
        return None if value is None and not text.startswith("#") else text
    is_plain = isinstance(value, str) and text.strip()[:1] not in ("'", '"')
    return text if is_plain else value


def _run_value(name: str, values: list[str]):
    """A run option with the type that SpeechBrain declares for it."""
    from speechbrain.utils.run_opts import RunOptions

    field = {field.name: field for field in dataclasses.fields(RunOptions)}[name]
    default, declared = field.default, str(field.type)
    if isinstance(default, bool):
        word = (values or ["true"])[0].lower()
        if word not in ("true", "false") or len(values) > 1:
            raise ValueError(f"--{name} is true or false, got {' '.join(values)!r}")
        return word == "true"
    if "list" in declared:
        return values
    if len(values) != 1:
        raise ValueError(f"--{name} needs one value, got {values}")
    allowed = get_args(field.type) if get_origin(field.type) is Literal else ()
    if allowed and values[0] not in allowed:
        raise ValueError(f"--{name} must be one of {', '.join(allowed)}, got {values[0]!r}")
    for kind in (int, float):
        if isinstance(default, kind) or f"{kind.__name__}" in declared:
            try:
                return kind(values[0])
            except ValueError:
                raise ValueError(f"--{name} must be a number, got {values[0]!r}") from None
    return values[0]


def _experiment_row(name: str, schema: str, problems: list[str]) -> dict:
    rows = _read_tree(shipped("experiments"))
    if name not in rows:
        problems.append(
            f"no experiment is called {name!r}{nearest(name, rows)} Known: {', '.join(rows)}"
        )
        return {}
    row = _plain(rows[name])
    if row.pop("recipe", schema) != schema:
        problems.append(f"experiment {name!r} belongs to another recipe than {schema}")
    tree = _read_tree(shipped(schema))
    row.pop("about", None)
    problems += _unknown_below(row, tree, "")
    problems += [f"experiment {name}: {problem}" for _, problem in _wrong_types(row, tree)]
    return row


# -- the YAML --------------------------------------------------------------------------------------


def _read_tree(path: Path) -> CommentedMap:
    """The YAML as maps, lists and scalars; tags are kept as marks and nothing is constructed."""
    try:
        tree = parse(expanded(path))
    except (YAMLError, TextError) as error:
        raise ConfigError([f"{path} is not YAML: {error}"]) from None
    except FileNotFoundError:
        raise ConfigError([f"no such file: {path}"]) from None
    except IncludeError as error:
        raise ConfigError([str(error)]) from None
    if not isinstance(tree, CommentedMap):
        raise ConfigError([f"{path} must be a map of keys to values"])
    return tree


def _tag(node) -> str:
    tag = getattr(node, "tag", None)
    return str(getattr(tag, "value", None) or "")


def _plain(node):
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if _tag(node).startswith("!"):
        return f"{_tag(node)} {getattr(node, 'value', '')}".strip()
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _unknown_in_file(path: Path, tree, schema_tree) -> list[str]:
    """Keys that a user's YAML has and the recipe does not know, and the other way round.

    A key of the user's own is fine as long as something in the file refers to it.
    """
    if "modules" in tree and "model" not in tree:
        return [
            f"{path.name}: its objects are those of an earlier auricle (`modules`, where there is now "
            "`model`): replace them by the last section of the YAML that comes with this one"
        ]
    text = expanded(path)
    extra = [
        f"{path.name}: {key} is no key of this recipe{nearest(key, schema_tree)}"
        for key in tree
        if key not in schema_tree and f"<{key}" not in text
    ]
    missing = [f"{path.name}: the key {key} is missing" for key in schema_tree if key not in tree]
    return extra + missing


def _clashes(tree, run_names) -> list[str]:
    """Keys that SpeechBrain's own parser would take for one of its options."""
    return [
        f"the YAML key {key} "
        + ("is" if key in run_names else "abbreviates")
        + f" SpeechBrain's run option {hit}: rename it"
        for key in tree
        for hit in [next((name for name in sorted(run_names) if name.startswith(key)), "")]
        if hit
    ]


def _option(keys: list[str]) -> str:
    return "--" + ".".join(keys)


def _why_refused(keys, tree, known) -> str:
    dotted = _option(keys)
    if keys[0] not in tree:
        return f"{dotted}: no key or option is called {keys[0]!r}{nearest(keys[0], known)}"
    if _is_object(tree[keys[0]]):
        # Otherwise a run could build another lobe than the one its results name.
        return f"{dotted}: {keys[0]} is built from other keys of the YAML; set those"
    return ""


def _is_object(node) -> bool:
    """What is constructed, or a map of what is constructed."""
    if isinstance(node, dict) and node and not _tag(node):
        return all(_tag(value).startswith("!ref") for value in node.values())
    return _tag(node).startswith(("!apply", "!new", "!name"))


def _is_text(default) -> bool:
    """A string, or one that is put together: `!ref <results_folder>/<frontend>`."""
    if _tag(default).startswith("!ref"):
        return not str(default.value).strip().endswith(">") or str(default.value).count("<") > 1
    return isinstance(default, str) and not _tag(default)


def _unknown_below(branch: dict, tree, prefix: str) -> list[str]:
    problems = []
    for key, value in branch.items():
        full = f"{prefix}{key}"
        if key not in tree:
            problems.append(
                f"{full}: unknown key{nearest(key, tree)} Known here: {', '.join(map(str, tree))}"
            )
        elif full in OPEN_MAPS:
            continue  # keyed by lobe: `option_problems` asks the registry
        elif isinstance(value, dict) and isinstance(tree[key], dict):
            problems += _unknown_below(value, tree[key], f"{full}.")
        elif isinstance(tree[key], dict):
            problems.append(
                f"{full} is a map: set one of {full}.{{{', '.join(map(str, tree[key]))}}}"
            )
    return problems


def _wrong_types(values: dict, defaults, prefix: str = "") -> list[tuple[str, str]]:
    """Values of another kind than the default, as (top-level key, problem)."""
    wrong = []
    for key, value in values.items():
        full, top = f"{prefix}{key}", f"{prefix}{key}".split(".")[0]
        if key not in defaults or full in OPEN_MAPS or _tag(value).startswith("!"):
            continue
        if isinstance(value, dict) and isinstance(defaults[key], dict):
            wrong += _wrong_types(value, defaults[key], f"{full}.")
        elif kind := _wrong_kind(defaults[key], value):
            default = _plain(defaults[key])
            wrong.append((top, f"{full} must be {kind} (default {default}), got {_plain(value)!r}"))
    return wrong


def _wrong_kind(default, value) -> str:
    """What the value should have been; None and single references as defaults take anything."""
    if isinstance(default, list) and not _tag(default):
        members = value if isinstance(value, list) else [value]
        kinds = [_wrong_kind(default[0], member) for member in members] if default else []
        if not isinstance(value, list) or any(kinds):
            return "a list" + (f", each {next(filter(None, kinds))}" if any(kinds) else "")
    if default is None and isinstance(value, dict):
        return "a single value"
    if _is_text(default):
        return "" if isinstance(value, str) else "text"
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    for kind, good, words in (
        (bool, isinstance(value, bool), "true or false"),
        (int, number and isinstance(value, int), "a whole number"),
        (float, number, "a number"),
    ):
        if isinstance(default, kind):
            return "" if good else words
    return ""


def _merge(into: dict, new: dict) -> dict:
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
    return into

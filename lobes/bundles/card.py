"""Model card of a bundle: README.md with the header that Hugging Face reads.

All text that comes from data, a description or a result is written as code or as JSON, so that none
of it is markup.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...processing.system.files import write_text
from ...processing.system.terminal import printable
from ..tasks import Task, find_task

CARD = "README.md"
_MAX_LENGTH, _MAX_LABELS = 200, 60
_SYNTHETIC = "Its recordings are synthetic: nothing is known of how it does on real ones, and no score is a benchmark."
_PART = "It saw a part of the corpus only: its scores are not comparable with published ones."
_NO_DATA = "What it was trained on is not stated: ask whoever made it."


def write_card(folder, description: dict, result: Mapping | None = None) -> Path:
    """Write a bundle's model card, as `card_text` has it; returns its path."""
    return write_text(Path(folder, CARD), card_text(description, result))


def card_text(description: dict, result: Mapping | None = None) -> str:
    """The model card of a bundle.

    Arguments
    ---------
    description : what `bundle.json` holds; of its free entries "licence" (as Hugging Face spells
        it: cc-by-4.0) and "licence_note" are used, and "source" of a model from elsewhere.
    result : what `results.json` of its run holds; None where there is none.

    Returns
    -------
    str, Markdown behind a header in YAML.

    Example
    -------
    >>> parts = {"frontend": {"name": "mel"}, "encoder": {"name": "linear"}, "labels": ["<b>"]}
    >>> card = card_text({"task": "classification", "sample_rate": 16000, "clip_s": 1.0, **parts})
    >>> print(card.split("---")[1].strip())
    license: "other"
    library_name: auricle
    tags: ["auricle", "audio", "classification", "mel", "linear"]
    metrics: ["accuracy"]
    """
    task = find_task(description.get("task", "classification"))
    lobes = [description[part]["name"] for part in ("frontend", "encoder")]
    test = (result or {}).get("metrics", {}).get("test") or description.get("test") or {}
    shown = [name for name in task.columns if isinstance(test.get(name), (int, float))]
    corpus = (result or description).get("corpus") or {}
    name = f"{code(lobes[0])} and {code(lobes[1])}" + (
        f", trained on {code(corpus['name'])}" if corpus.get("name") else ""
    )
    header = {
        "license": description.get("licence") or "other",
        "tags": ["auricle", "audio", task.name, *lobes],
        "metrics": shown or [task.headline],
    }
    sections = {
        "Use": ["```sh\nauricle predict FOLDER recording.wav\n```"],
        "Model": _lines(_model(description, result)),
        "Data": _lines(_data(description, result, corpus)),
        "Scores": _scores(task, test, shown, result),
        "Limits": _lines({"": [f"It must not be used for {task.not_for}.", *_limits(corpus)]}),
    }
    text = "".join(
        f"\n## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in sections.items()
    )
    return (
        f"---\nlicense: {json.dumps(header['license'])}\nlibrary_name: auricle\n"
        f"tags: {json.dumps(header['tags'])}\nmetrics: {json.dumps(header['metrics'])}\n---\n\n"
        f"# {name}\n\nA model of auricle for {task.name}: {task.about}.\n{text}"
    )


def code(value) -> str:
    """A value as code in Markdown, in which nothing is markup.

    Example
    -------
    >>> print(code("a`b <i>"), code({"tau": 2}))
    `a'b <i>` `{"tau": 2}`
    """
    text = value if isinstance(value, str) else json.dumps(value)
    text = printable(text).replace("`", "'").strip()
    return f"`{text[:_MAX_LENGTH] or ' '}`"


def _lines(entries: Mapping[str, object]) -> list[str]:
    """A list in Markdown of what is known."""
    return [
        f"- {name + ': ' * bool(name)}{line}"
        for name, value in entries.items()
        for line in (value if isinstance(value, list) else [value])
        if line
    ]


def _model(description: dict, result: Mapping | None) -> dict:
    labels = description["labels"]
    listed = ", ".join(map(code, labels[:_MAX_LABELS])) + ", ..." * (len(labels) > _MAX_LABELS)
    parts = {
        part.capitalize(): code(description[part]["name"])
        + (f" with {code(options)}" if (options := description[part].get("options")) else "")
        for part in ("frontend", "encoder", "head")
        if part in description
    }
    about = {
        "Input": f"{description['sample_rate']:,} Hz, one channel"
        + (f", trained on clips of {description['clip_s']:g} s" if description["clip_s"] else ""),
        **parts,
        f"{len(labels):,} outputs": listed,
        "From": code(description["source"]) if description.get("source") else None,
    }
    if result is None:
        return about
    return about | {
        "Parameters": f"{sum(result['params'].values()):,}",
        "Training": f"{result['epochs']} epochs, seed {result['seed']}"
        + (f", experiment {code(result['experiment'])}" if result.get("experiment") else "")
        + (f", {code(result['options'])}" if result["options"] else ""),
        "Versions": code(result["versions"]),
    }


def _data(description: dict, result: Mapping | None, corpus: Mapping) -> dict:
    note = description.get("licence_note")
    licence = {"Licence": code(description.get("licence") or "other")}
    licence |= {"Note": code(note) if note else None}
    if not corpus:
        return licence
    part = "" if corpus.get("complete") else ", a part of the corpus"
    kind = "synthetic, made by auricle" if corpus.get("synthetic") else f"real recordings{part}"
    counts = (result or {}).get("counts", {})
    return {
        "Corpus": f"{code(corpus.get('name', ''))} ({kind})",
        "Protocol": code(description.get("protocol") or ""),
        **{split.capitalize(): _count(of, description["labels"]) for split, of in counts.items()},
        **licence,
    }


def _count(counts, labels: Iterable[str]) -> str:
    """The number of recordings, or of what else is counted."""
    if not isinstance(counts, dict):
        return code(counts)
    if set(counts) <= set(labels) or all(name.isdigit() for name in counts):
        return f"{sum(counts.values()):,} recordings"
    return ", ".join(f"{value:,} {code(name)}" for name, value in counts.items())


def _scores(task: Task, test: Mapping, shown: list[str], result: Mapping | None) -> list[str]:
    if not shown:
        return ["None is known."]
    intervals = test.get("interval") or {}
    lines = []
    for name in shown:
        score = task.scores.get(name)
        text, heading = (score.text, score.heading) if score else ("{:.3f}".format, name)
        pair = intervals.get(name)
        ends = f" (95 % interval {text(pair[0])} to {text(pair[1])})" if pair else ""
        lines.append(f"- {heading}: {text(test[name])}{ends}")
    of = f"Of {test['n']:,} test items" if "n" in test else "Of the test set"
    over = f"; intervals resample each {code(intervals['over'])}" if intervals.get("over") else ""
    return [*lines, f"\n{of}{over}. One training: other seeds reach other scores."]


def _limits(corpus: Mapping) -> list[str]:
    if not corpus:
        return [_NO_DATA]
    if corpus.get("synthetic"):
        return [_SYNTHETIC]
    return [] if corpus.get("complete") else [_PART]

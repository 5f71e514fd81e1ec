"""A study whose runs are made up: accuracies by hand, one cell that failed; its folder and its file."""

from run_results import run_result

from auricle.recipes.studies.store import Store
from auricle.recipes.studies.study import read_study

CONTENT = {
    "about": "Does <leaf> beat mel?",
    "recipe": "speech_commands",
    "fixed": {"number_of_epochs": 30},
    "axes": {"frontend": ["mel", "leaf"], "encoder": ["linear", "bcresnet"]},
    "seeds": [1, 2, 3],
    "baseline": {"frontend": "mel"},
    "tables": [
        {
            "title": "Table 2",
            "source": "somebody, 2024",
            "rows": "encoder",
            "columns": "frontend",
            "values": {"linear": {"mel": 60.5, "leaf": 99.0}, "bcresnet": {"leaf": 80.0}},
        }
    ],
}
ACCURACY = {
    ("mel", "linear"): [0.60, 0.61, 0.62],
    ("leaf", "linear"): [0.64, 0.66, 0.65],
    ("mel", "bcresnet"): [0.70, 0.80, 0.75],
}


def make_study(folder, **changes):
    """The study and its store below a folder, results changed alike."""
    study = read_study(CONTENT, "mine", folder)
    store = Store(folder / "study")
    store.open(study)
    for cell in study.cells():
        lobes = cell.labels["frontend"], cell.labels["encoder"]
        if lobes not in ACCURACY:
            store.failure_file(cell.name).write_text('{"status": 1, "words": "<b>no memory</b>"}')
            continue
        accuracy = ACCURACY[lobes][cell.seed - 1]
        metrics = {
            "valid": {"epoch": 30, "accuracy": 0.9},
            "test": {"accuracy": accuracy, "n": 100},
        }
        result = {"frontend": lobes[0], "encoder": lobes[1], "seed": cell.seed, "metrics": metrics}
        run_result(**{**result, **changes}).write(store.run(cell.name))
        checkpoint = store.run(cell.name) / "checkpoints" / "CKPT+2026-01-01+00-00-00+00"
        checkpoint.mkdir(parents=True, exist_ok=True)
        (checkpoint / "history.ckpt").write_text(
            '{"epochs": [{"epoch": 1, "valid": {"accuracy": 0.5}}], "seconds": 9}'
        )
    return study, store

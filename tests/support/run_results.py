"""A result as a recipe's run leaves it, for tests of what reads results."""

from auricle.recipes.reports.results import RunResult

COMPLETE = {"name": "speech_commands_v0.02", "synthetic": False, "complete": True}


def run_result(**changes):
    values = {
        "task": "keyword_spotting",
        "dataset": "speech_commands",
        "protocol": "v2-12-official",
        "data_digest": "0123456789abcdef0123",
        "corpus": COMPLETE,
        "counts": {"train": 36923, "valid": 4445, "test": 4890},
        "frontend": "leaf",
        "encoder": "bcresnet",
        "options": {},
        "seed": 1,
        "params": {"frontend": 400, "encoder": 8000, "head": 1200},
        "metrics": {"valid": {"accuracy": 0.91}, "test": {"accuracy": 0.9}},
        "epochs": 30,
        "started": "2026-01-31T12:00:00Z",
        "wall_s": 240.0,
        "audio_s_per_s": 1500.0,
        "device": "cpu (2 threads)",
        "versions": {"auricle": "0.1.0", "torch": "2.11.0"},
        "git_commit": "a" * 40,
    }
    return RunResult(**{**values, **changes})

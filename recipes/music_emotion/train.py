"""Train and score valence and arousal on DEAM, EmoMusic or PMEmo.

    python recipes/music_emotion/train.py hparams/music_emotion.yaml --help

The default trains log-mel + CRNN on the mini corpus, which needs no download.
"""

import sys

try:
    from auricle.recipes.training import runner
except ImportError as error:
    sys.exit(f"auricle is not installed here ({error}). In its folder: pip install -e '.[mini]'")


def train(config):
    """Prepare, train, test, and write results, pictures and the pretrained bundle."""
    from auricle.recipes.music_emotion import data, model
    from auricle.recipes.training.finish import finish
    from auricle.recipes.training.memory_report import report_memory

    run = runner.start(config, "music_emotion", data.prepare_from)
    hparams, record = run.hparams, run.record
    run.add_head("regression", len(record.dimensions))
    sets = data.build_datasets(hparams, record)
    decoded_s = sum(row["duration_s"] for row in record.rows())
    report_memory(run, max(sets["train"].durations_s), decoded_s)
    brain = run.build_brain("regression", record.dimensions, record.scale)
    loader = {key: hparams[key] for key in ("batch_size", "max_batch_s", "num_workers")}
    whole = loader | {"max_batch_s": model.eval_batch_s(hparams, sets)}
    run.fit_and_test(brain, sets, whole, loader)
    finish(
        run,
        brain,
        task="music_emotion",
        dataset=record.dataset,
        protocol=model.describe_protocol(record),
        labels=list(record.dimensions),
        bundled=model.describe_bundle(record),
        use="predict BUNDLE SONG.mp3",
    )


def main(argv=None):
    """Command line; returns the exit status."""
    from auricle.recipes.music_emotion import model, prepare

    checks = [prepare.problems, model.problems]
    return runner.run_recipe(
        "music_emotion", train, checks, argv, "regression", model.needed_output
    )


if __name__ == "__main__":
    sys.exit(main())

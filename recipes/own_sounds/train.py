"""Train and score classes or tags of recordings of one's own.

    python recipes/own_sounds/train.py hparams/own_sounds.yaml --data_folder DIR

DIR holds a folder a class, or a table. The default trains on the mini corpus.
"""

import sys

try:
    from auricle.recipes.training import runner
except ImportError as error:
    sys.exit(f"auricle is not installed here ({error}). In its folder: pip install -e '.[mini]'")


def train(config):
    """Train on one split, or on every fold and then score all folds together."""
    from auricle.recipes.own_sounds import folds

    names = folds.folds_of(config)
    if names:
        folds.cross_validate(config, names, train_one)
    else:
        train_one(config)


def train_one(config):
    """Prepare, train, test, and write results, pictures and the pretrained bundle.

    Returns
    -------
    The finished Brain and its Run.
    """
    from auricle.recipes.own_sounds import data
    from auricle.recipes.training.finish import finish
    from auricle.recipes.training.memory_report import report_memory

    run = runner.start(config, "own_sounds", data.prepare_from)
    hparams, record = run.hparams, run.record
    run.add_head(record.task, len(record.classes))
    clip_samples = data.clip_samples(hparams)
    brain = run.build_brain(record.task, record.classes, clip_samples=clip_samples)
    brain.group_unit = "group" if record.grouped else "recording"
    sets = data.build_datasets(hparams, record)
    decoded_s = sum(row["duration_s"] for row in record.rows())
    report_memory(run, max(sets["train"].durations_s), decoded_s)
    loader = {key: hparams[key] for key in ("batch_size", "max_batch_s", "num_workers")}
    run.fit_and_test(brain, sets, loader)
    finish(
        run,
        brain,
        task=record.task,
        dataset="own_sounds",
        protocol=protocol_of(record),
        labels=record.classes,
        bundled={"masked_padding": True} | ({} if clip_samples else {"clip_s": None}),
    )
    return brain, run


def protocol_of(record):
    """What a result says of its split."""
    protocol = {"name": record.protocol, "grouped": record.grouped}
    if record.fold:
        protocol["fold"] = record.fold
    return protocol


def main(argv=None):
    """Command line; returns the exit status."""
    from auricle.recipes.own_sounds import options

    return runner.run_recipe("own_sounds", train, [options.problems], argv)


if __name__ == "__main__":
    sys.exit(main())

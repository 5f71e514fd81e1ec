"""Train and score phone recognition on TIMIT.

    python recipes/timit/train.py hparams/timit.yaml --help

The default trains log-mel + BLSTM on the mini corpus, which needs no download.
"""

import sys

try:
    from auricle.recipes.training import runner
except ImportError as error:
    sys.exit(f"auricle is not installed here ({error}). In its folder: pip install -e '.[mini]'")


def train(config):
    """Prepare, train, test, and write results, pictures and the pretrained bundle."""
    from speechbrain.utils.distributed import run_on_main

    from auricle.lobes.brains.base import of_waves
    from auricle.recipes.timit import data, model
    from auricle.recipes.training.finish import finish
    from auricle.recipes.training.memory_report import report_memory

    run = runner.start(config, "timit", data.prepare_from)
    hparams, record = run.hparams, run.record
    units = model.build_units(hparams, record)
    run.add_head("transcription", len(units.labels))
    sets = data.build_datasets(hparams, record, units)
    data.check_steps(sets, run.model.compute_features, run.model.embedding_model)
    decoded_s = sum(sum(dataset.durations_s) for dataset in sets.values())
    report_memory(run, max(sets["train"].durations_s), decoded_s)
    brain = run.build_brain(
        "transcription",
        units,
        model.build_decoders(hparams, record, units),
        augment=of_waves(model.build_augmentation(hparams)),
    )
    loader = {key: hparams[key] for key in ("batch_size", "max_batch_s", "num_workers")}
    run.fit_and_test(brain, sets, loader, {"ascending_epochs": hparams["sorted_epochs"]})
    finish(
        run,
        brain,
        task="phone_recognition",
        dataset=record.dataset,
        protocol=model.describe_protocol(record, units, hparams),
        labels=list(units.labels),
        bundled={"units": units.state()},
        use="transcribe BUNDLE FILE.wav",
    )
    run_on_main(model.complete_bundle, [run.output_folder / "bundle", record, units])


def main(argv=None):
    """Command line; returns the exit status."""
    from auricle.recipes.timit import model, prepare

    checks = [prepare.problems, model.problems]
    return runner.run_recipe("timit", train, checks, argv, task="transcription")


if __name__ == "__main__":
    sys.exit(main())

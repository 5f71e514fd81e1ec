"""Train and score speaker verification on VoxCeleb.

    python recipes/voxceleb/train.py hparams/voxceleb.yaml --help

The default trains LEAF + MLP-Mixer on the mini corpus, which needs no download.
"""

import sys

try:
    from auricle.recipes.training import runner
except ImportError as error:
    sys.exit(f"auricle is not installed here ({error}). In its folder: pip install -e '.[mini]'")


def train(config):
    """Prepare, train, calibrate, test, and write results, pictures and the pretrained bundle."""
    from speechbrain.utils.distributed import run_on_main

    from auricle.lobes.brains.base import of_waves
    from auricle.recipes.training.finish import finish
    from auricle.recipes.training.memory_report import report_memory
    from auricle.recipes.training.messages import tell
    from auricle.recipes.voxceleb import data, model

    run = runner.start(config, "voxceleb", data.prepare_from)
    hparams, record = run.hparams, run.record
    labels = data.class_labels(record, hparams["speed_factors"])
    run.add_head("verification", len(labels), subcenters=hparams["subcenters"])
    if hparams["init_from"]:
        tell(model.start_from(hparams["init_from"], run.model, labels))
    sets = data.build_datasets(hparams, record)
    report_memory(run, max(sets["train"].durations_s), data.cached_s(hparams, record))
    brain = run.build_brain(
        "verification",
        record.trials,
        augment=of_waves(model.build_augmentation(hparams)),
        distiller=model.build_distiller(hparams, labels, run.output_folder),
    )
    loader = {"num_workers": hparams["num_workers"]}
    batches = {key: hparams[key] for key in ("batch_size", "max_batch_s")}
    whole = {**loader, "max_batch_s": hparams["eval_batch_s"]}
    brain.fit(
        hparams["epoch_counter"], sets["train"], sets["valid"], None, {**loader, **batches}, whole
    )

    brain.tested = "valid"
    brain.evaluate(sets["final_valid"], min_key=brain.headline, test_loader_kwargs=whole)
    brain.valid_record = brain.test_record
    held_out = brain.score
    brain.calibration = model.calibrate(held_out)
    brain.tested = "test"
    brain.evaluate(sets["test"], min_key=brain.headline, test_loader_kwargs=whole)

    protocol = {
        "name": record.protocol,
        "train_on": hparams["train_on"],
        "trials": record.trials["test"].source,
        "trials_digest": record.trials["test"].digest,
    }
    finish(
        run,
        brain,
        task="speaker_verification",
        dataset="voxceleb" if config.plain["protocol"] != "list" else run.corpus["name"],
        protocol=protocol,
        labels=labels,
        bundled={"margin_scale": hparams["margin_scale"]},
        use="verify BUNDLE A.wav B.wav",
    )
    run_on_main(model.keep_calibration, [run.output_folder / "bundle", brain, held_out])


def main(argv=None):
    """Command line; returns the exit status."""
    from auricle.recipes.voxceleb import model, prepare

    checks = [prepare.problems, model.problems]
    return runner.run_recipe("voxceleb", train, checks, argv, task="verification")


if __name__ == "__main__":
    sys.exit(main())

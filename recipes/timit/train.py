"""Train and score phone recognition on TIMIT.

    python recipes/timit/train.py hparams/timit.yaml --help

The default trains log-mel + BLSTM on the mini corpus, which needs no download.
"""

import sys

try:
    from auricle.recipes import runner
except ImportError as error:
    sys.exit(f"auricle is not installed here ({error}). In its folder: pip install -e '.[mini]'")

from pathlib import Path


def train(config):
    """Prepare, train, test, and write results, pictures and the pretrained bundle."""
    from speechbrain.utils.distributed import run_on_main

    from auricle.lobes.brains.ctc import CTCBrain
    from auricle.lobes.heads import build_head
    from auricle.recipes.finish import finish
    from auricle.recipes.timit import data, model
    from auricle.recipes.timit.prepare import describe

    folder, corpus = runner.resolve_corpus(config, "timit")
    prepared = data.prepare_from(config.plain, folder)
    runner.tell(describe(prepared))

    hparams = config.build()
    units = model.build_units(hparams, prepared)
    output_folder = runner.claim_folder(config, hparams["output_folder"], prepared.digest)
    hparams["checkpointer"].sweep()
    modules = hparams["modules"]
    width = hparams["embedding_model"].out_features
    modules["classifier"] = build_head("classifier", width, len(units.labels))
    sets = data.build_datasets(hparams, prepared, units)
    data.check_steps(sets, modules["compute_features"], modules["embedding_model"])
    decoders = model.build_decoders(hparams, prepared, units)
    brain = CTCBrain(
        units,
        decoders,
        modules=modules,
        hparams=hparams,
        run_opts=config.run_opts,
        checkpointer=hparams["checkpointer"],
        augment_wavs=model.build_augmentation(hparams),
    )
    loader = {key: hparams[key] for key in ("batch_size", "max_batch_s", "num_workers")}
    sorting = {"ascending_epochs": hparams["sorted_epochs"]}
    brain.fit(
        hparams["epoch_counter"], sets["train"], sets["valid"], None, {**loader, **sorting}, loader
    )
    brain.evaluate(sets["test"], min_key=brain.headline, test_loader_kwargs=loader)

    corpus = {**corpus, "complete": prepared.completeness == "complete"}
    run_on_main(
        finish,
        kwargs={
            "brain": brain,
            "config": config,
            "output_folder": Path(output_folder),
            "task": "phone_recognition",
            "dataset": prepared.dataset,
            "protocol": model.describe_protocol(prepared, units, hparams),
            "data_digest": prepared.digest,
            "corpus": corpus,
            "counts": prepared.counts,
            "labels": units.labels,
            "bundled": {"units": units.state()},
        },
    )
    run_on_main(model.complete_bundle, [Path(output_folder) / "bundle", prepared, units])


def main(argv=None):
    """Command line; returns the exit status."""
    from auricle.lobes.brains import optimization
    from auricle.recipes.timit import model, prepare

    checks = [optimization.problems, prepare.problems, model.problems]
    return runner.run_recipe("timit", train, checks, argv, output="frames")


if __name__ == "__main__":
    sys.exit(main())

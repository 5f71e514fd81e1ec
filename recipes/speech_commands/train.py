"""Train and score keyword spotting on Speech Commands.

    python recipes/speech_commands/train.py hparams/speech_commands.yaml --help

The default trains LEAF + BC-ResNet on the mini corpus, which needs no download.
"""

import sys

try:
    from auricle.recipes.training import runner
except ImportError as error:
    sys.exit(f"auricle is not installed here ({error}). In its folder: pip install -e '.[mini]'")


def train(config):
    """Prepare, train, test, and write results, pictures and the pretrained bundle."""
    from auricle.recipes.speech_commands import data
    from auricle.recipes.training.finish import finish
    from auricle.recipes.training.memory_report import report_memory

    run = runner.start(config, "speech_commands", data.prepare_from)
    hparams, record = run.hparams, run.record
    run.add_head("classification", len(record.labels))
    brain = run.build_brain(
        "classification", record.labels, augment=data.build_augmentation(hparams, record)
    )
    sets = data.build_datasets(hparams, record)
    decoded_s = sum(sum(sets[split].durations_s) for split in ("train", "valid"))
    report_memory(run, hparams["clip_s"], decoded_s)
    loader = {"batch_size": hparams["batch_size"], "num_workers": hparams["num_workers"]}
    run.fit_and_test(brain, sets, loader)
    protocol = {
        "name": record.protocol,
        "split": record.split_source,
        "test": record.test_source,
        "test_digest": record.test_digest,
    }
    finish(
        run,
        brain,
        task="keyword_spotting",
        dataset="speech_commands",
        protocol=protocol,
        labels=record.labels,
    )


def main(argv=None):
    """Command line; returns the exit status."""
    from auricle.recipes.speech_commands import protocols

    return runner.run_recipe("speech_commands", train, [protocols.problems], argv)


if __name__ == "__main__":
    sys.exit(main())

"""A training run with --compile reaches the loss of one without; run by `make test-compile`."""

from unittest import mock

import pytest
from command_line import Recipe
from speechbrain.utils.train_logger import FileTrainLogger

RECIPE = Recipe(
    "speech_commands",
    {"encoder": "small_cnn", "number_of_epochs": 1, "warmup_epochs": 0, "batch_size": 64},
)


@pytest.mark.parametrize("frontend", ["mel"])
def test_the_train_loss_is_that_of_the_plain_run(frontend, mini_folder, tmp_path):
    RECIPE.corpus, losses = mini_folder, []
    for words in ([], ["--compile"]):
        with mock.patch.object(FileTrainLogger, "log_stats") as logged:
            RECIPE.train(tmp_path / f"run{len(losses)}" / "run", "--frontend", frontend, *words)
        losses.append(logged.call_args_list[0].kwargs["train_stats"]["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)

"""Base Brain: training of one Model with exact resume, distributed scores, best checkpoints.

A subclass adds what its task needs: what is computed of a batch, the loss, the score. No method
here or there asks what class a lobe is.
"""

import hashlib
import logging
import sys
import time
from datetime import datetime, timezone

import speechbrain as sb
import torch
from speechbrain.utils.checkpoints import average_checkpoints
from speechbrain.utils.distributed import if_main_process
from torch import nn

from ...processing.data.batching import DurationBatchSampler
from ...processing.scoring.predictions import TABLE_NAME, write_predictions
from ..contracts import project_after
from ..model import PARTS, Model
from ..tasks import Task
from . import interruption, standstill
from .checkpoints import History
from .optimization import build_optimizer, prepare_step
from .trackers import Tracking

logger = logging.getLogger(__name__)
#: Between two lines of progress within an epoch, where no bar is drawn, in s.
PROGRESS_S = 60.0
Stage = sb.Stage


def step_seed(*parts) -> int:
    """A seed that is a pure function of its parts, e.g. (seed, epoch, step, rank)."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def of_waves(augment):
    """An augmentation (wavs, lengths) -> wavs as a Brain calls it, which also gives the batch."""
    return None if augment is None else lambda wavs, lengths, batch: augment(wavs, lengths)


class BaseBrain(sb.Brain):
    """SpeechBrain's Brain around one Model, with what auricle promises.

    * Randomness of a training step is a function of (seed, epoch, step, rank), batches are a
      function of (seed, epoch): a run that is killed and started again ends with the same numbers.
    * Every trainable parameter is in the optimiser, every group is clipped, parameters with a
      valid range are projected back into it after each step.
    * Validation and test are sharded over the ranks without repeats; scores are merged as counts.
    * A batch with a loss that is not finite changes nothing; after `nonfinite_patience` of them in
      one epoch the run stops.

    A subclass defines `compute_forward`, `item_losses` or `training_loss`, `new_score`,
    `add_to_score`, `pictures` and `describe_test`.

    Arguments
    ---------
    model : Model
    hparams : dict
        What the YAML builds.
    run_opts, checkpointer : as SpeechBrain's Brain takes them
    task : Task
    augment : callable or None
        (wavs (B, T), lengths (B,), batch) -> wavs, in training.
    extra_modules : dict of nn.Module
        What is trained and kept in checkpoints beside the model, but is no part of it.

    Attributes
    ----------
    headline : str
        The score that selects the best epoch; that of the task unless a subclass knows better.
    history : History
    initial_filters : FilterSet or None
        Of the frontend as it was built, before a checkpoint is read; None where it has none.
    trained : dict of nn.Module
        The model's parts and the extra modules by name, without DDP around them.
    tracking : Tracking or None
        The tracker that follows the training, `tracking` of the hyperparameters.
    train_numbers : dict
        What a subclass wants to see in the record of an epoch of training beside its loss.
    """

    def __init__(
        self,
        model: Model,
        hparams,
        run_opts,
        checkpointer=None,
        *,
        task: Task,
        augment=None,
        extra_modules=None,
    ):
        extra_modules = dict(extra_modules or {})
        super().__init__(
            modules={"model": model, **extra_modules},
            hparams=hparams,
            run_opts=run_opts,
            checkpointer=checkpointer,
        )
        self.model, self.task, self.augment = model, task, augment
        self.headline = task.headline
        self.history = History()
        self.tracking: Tracking | None = getattr(self.hparams, "tracking", None)
        # A bar is for a terminal: in a file its control characters would be one endless line.
        on_terminal = sys.stderr is not None and sys.stderr.isatty()
        self.noprogressbar = self.noprogressbar or not on_terminal
        self._said_s = time.monotonic()
        self.trained = {**model.parts, **extra_modules}
        frontend = model.compute_features
        self.initial_filters = frontend.filters() if hasattr(frontend, "filters") else None
        self.epoch = 0
        self._stops = False
        self.score = None
        self.train_numbers: dict[str, float] = {}
        self.valid_record: dict | None = None  # of the model that is tested, where it was asked for
        if checkpointer is not None:
            # All modules at once: a learned frontend cannot be forgotten.
            checkpointer.add_recoverable("model", nn.ModuleDict(self.trained))
            checkpointer.add_recoverable("history", self.history)

    # -- the way of a sample -----------------------------------------------------------------------

    def module(self, name: str, stage: Stage) -> nn.Module:
        """A module for this stage: wrapped by DDP in training, bare in evaluation.

        DDP exchanges buffers in every forward; ranks with different numbers of evaluation batches
        would wait for each other for ever.
        """
        bare = self.model if name == "model" else self.trained[name]
        return self.modules[name] if stage == Stage.TRAIN else bare

    def run_model(self, wavs, lengths, stage: Stage, with_embedding: bool = False):
        """The model's output, in training with masked frames; see `Model.forward`."""
        masks = self.hparams.feature_masks if stage == Stage.TRAIN else ()
        return self.module("model", stage)(wavs, lengths, masks, with_embedding)

    def training_waves(self, wavs: torch.Tensor, lengths: torch.Tensor, batch) -> torch.Tensor:
        """Waveforms (B, T) as training hears them: augmented, and their valid seconds counted."""
        if self.augment is not None:
            wavs = self.augment(wavs, lengths, batch)
        seconds = float(lengths.sum()) * wavs.shape[1] / self.hparams.sample_rate
        self.history.audio_seconds += seconds
        return wavs

    def item_losses(self, predictions, batch) -> torch.Tensor | None:
        """Loss of each item of a validation batch, (B,); None where items have none."""
        return None

    def training_loss(self, predictions, batch) -> torch.Tensor:
        """What a step of training minimises: by default the mean of the items' losses."""
        return self.item_losses(predictions, batch).mean()

    def new_score(self, stage):
        """An accumulator with `state`, `from_state` and `summarize`."""
        raise TypeError(f"{type(self).__name__} does not define new_score")

    def add_to_score(self, predictions, batch) -> None:
        """Append a batch to `self.score`."""
        raise TypeError(f"{type(self).__name__} does not define add_to_score")

    def pictures(self, folder, name: str) -> list:
        """Draw the test scores into a folder; returns the paths. `name` says what is shown."""
        raise TypeError(f"{type(self).__name__} does not define pictures")

    def describe_test(self) -> str:
        """The test scores in a sentence, without the full stop."""
        raise TypeError(f"{type(self).__name__} does not define describe_test")

    def keep_predictions(self, folder):
        """Write what was predicted for every test item into a folder; returns the file, or None."""
        return write_predictions(folder / TABLE_NAME, self.score)

    def compute_objectives(self, predictions, batch, stage):
        if stage == Stage.TRAIN:
            return self.training_loss(predictions, batch)
        self.add_to_score(predictions, batch)
        losses = self.item_losses(predictions, batch)
        if losses is None:
            return torch.zeros(())
        self._loss_sum += float(losses.sum())
        self._loss_count += len(losses)
        return losses.mean()

    # -- data --------------------------------------------------------------------------------------

    def make_dataloader(self, dataset, stage, ckpt_prefix="dataloader-", **loader_kwargs):
        """A loader over batches of similar duration; each rank gets its share.

        Arguments
        ---------
        dataset : with `durations_s`, the length of each item in s
        loader_kwargs : `batch_size` (items), `max_batch_s` (padded seconds), `ascending_epochs`
            (a curriculum), and what DataLoader takes
        """
        training = stage == Stage.TRAIN
        sampler = DurationBatchSampler(
            dataset.durations_s,
            max_batch_s=loader_kwargs.pop("max_batch_s", None),
            max_batch_items=loader_kwargs.pop("batch_size", None),
            shuffle=training,
            seed=self.hparams.seed,
            equal_batches=training,
            ascending_epochs=loader_kwargs.pop("ascending_epochs", 0),
        )
        loader = sb.dataio.dataloader.make_dataloader(
            dataset, batch_sampler=sampler, **loader_kwargs
        )
        if training:
            self.train_sampler = sampler
            self._train_dataset = dataset
            self._steps_in_epoch = sampler
            if self.checkpointer is not None and ckpt_prefix is not None:
                self.checkpointer.add_recoverable(ckpt_prefix + stage.name, loader)
        return loader

    # -- optimisation ------------------------------------------------------------------------------

    def _compile(self):
        # The model is one module: it is compiled whole, also where a part of it is named.
        if self.compile_module_keys:
            keys = ("model" if key in PARTS else key for key in self.compile_module_keys)
            self.compile_module_keys = list(dict.fromkeys(keys))
        super()._compile()

    def _wrap_distributed(self):
        if self.distributed_launch and self.device_type == "cpu":
            # SpeechBrain converts to SyncBatchNorm, which exists for GPUs only.
            for name, module in self.modules.items():
                if any(p.requires_grad for p in module.parameters()):
                    self.modules[name] = nn.parallel.DistributedDataParallel(
                        module, find_unused_parameters=self.find_unused_parameters
                    )
        else:
            super()._wrap_distributed()

    def init_optimizers(self):
        self.optimizer = build_optimizer(
            self.trained,
            name=self.hparams.optimizing,
            lr=self.hparams.lr,
            weight_decay=self.hparams.weight_decay,
            frontend_lr_factor=self.hparams.frontend_lr_factor,
            frontend_step_hz=self.hparams.frontend_step_hz,
            momentum=self.hparams.momentum,
            betas=self.hparams.betas,
        )
        self.optimizers_dict = {"optimizer": self.optimizer}
        project_after(self.optimizer, *self.trained.values())
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable("optimizer", self.optimizer)

    @property
    def epochs_done(self) -> float:
        """Progress of training in epochs, at the middle of the present step."""
        return self.epoch - 1 + (self.step - 0.5) / len(self._steps_in_epoch)

    def prepare_step(self) -> None:
        """Learning rates of this step and what of it is frozen, from the progress alone."""
        prepare_step(
            self.optimizer,
            # The middle of the step: neither the first nor the last one is taken at rate 0.
            self.epochs_done,
            epochs=self.hparams.number_of_epochs,
            schedule=self.hparams.schedule,
            warmup_epochs=self.hparams.warmup_epochs,
            restart_epochs=self.hparams.restart_epochs,
            frontend_schedule=self.hparams.frontend_schedule,
            frontend_freeze_epochs=self.hparams.frontend_freeze_epochs,
            annealed=self.annealing_factor(),
        )

    def annealing_factor(self) -> float:
        """What the scores of the epochs so far make of the learning rate."""
        return 1.0

    def fit_batch(self, batch):
        standstill.advance()
        torch.manual_seed(
            step_seed(
                self.hparams.seed, self.epoch, self.step, sb.utils.distributed.get_rank() or 0
            )
        )
        # The last batches of an epoch are stepped too when they are fewer than the factor.
        last = self.step == len(self._steps_in_epoch)
        should_step = last or self.step % self.grad_accumulation_factor == 0
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                outputs = self.compute_forward(batch, Stage.TRAIN)
                loss = self.compute_objectives(outputs, batch, Stage.TRAIN)
            # The one time in a step that the host waits for the device.
            host_loss = loss.detach().cpu()
            if self._finite_everywhere(loss if self.distributed_launch else host_loss):
                self.scaler.scale(loss / self.grad_accumulation_factor).backward()
            else:
                self.check_loss_isfinite(loss if not torch.isfinite(loss) else loss * torch.nan)
                self.zero_grad(set_to_none=True)
                return host_loss
        if should_step:
            self.prepare_step()
            self.optimizers_step()
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        self._say_progress(f"step {self.step} of {len(self._steps_in_epoch)}, loss {host_loss:.3g}")
        return host_loss

    def evaluate_batch(self, batch, stage):
        loss = super().evaluate_batch(batch, stage)
        self._say_progress(f"{stage.name.lower()}, {self._loss_count} items")
        return loss

    def _say_progress(self, text: str) -> None:
        """A line per minute where no bar is drawn."""
        if self.noprogressbar and time.monotonic() - self._said_s >= PROGRESS_S:
            self._said_s = time.monotonic()
            if if_main_process():
                logger.info("epoch %d: %s", self.epoch, text)

    def _finite_everywhere(self, loss: torch.Tensor) -> bool:
        """Whether no rank has a loss that is not finite; all learn, too, of a request to stop."""
        standstill.advance()
        self._stops = bool(interruption.requested())
        finite = torch.isfinite(loss.detach()).float()
        if not self.distributed_launch:
            return bool(finite)
        flags = torch.stack([finite, finite.new_tensor(float(not self._stops))])
        torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MIN)
        is_finite, goes_on = flags.tolist()
        self._stops = not goes_on
        return bool(is_finite)

    def _should_save_intra_epoch_ckpt(self, last_ckpt_time, steps_since_ckpt):
        # Gradients that are being accumulated are in no checkpoint.
        if self.step % self.grad_accumulation_factor and self.step < len(self._steps_in_epoch):
            return False
        if self._stops:
            if self.checkpointer is not None:
                self._save_intra_epoch_ckpt()
            raise interruption.StopRequested(interruption.requested())
        return super()._should_save_intra_epoch_ckpt(last_ckpt_time, steps_since_ckpt)

    def optimizers_step(self):
        self.scaler.unscale_(self.optimizer)
        if self.max_grad_norm > 0:
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        if not self.scaler.is_enabled() and self.skip_nonfinite_grads:
            self.check_gradients()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.zero_grad(set_to_none=True)
        self.optimizer_step += 1

    # -- stages ------------------------------------------------------------------------------------

    def fit(self, *args, **kwargs):
        """As SpeechBrain's; a request to stop ends it after a step, with a checkpoint."""
        with interruption.at_the_next_step():
            super().fit(*args, **kwargs)

    def on_fit_start(self):
        self.history.started = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        if isinstance(self.device, str) and self.device_type == "cpu":
            torch.use_deterministic_algorithms(True, warn_only=True)
            # It also fills every new tensor with NaN, which is for finding reads of uninitialised
            # memory, and takes 5 to 10 % of an epoch.
            torch.utils.deterministic.fill_uninitialized_memory = False
        super().on_fit_start()
        if self.tracking is not None and if_main_process():
            self.tracking.begin(len(self.history.epochs))
        self._stop_early()

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Restore the best epoch's model; the history stays that of the whole run."""
        if self.checkpointer is None:
            return
        if not self.history.epochs:  # a trained model is only tested
            self.checkpointer.recover_if_possible()
        history = dict(vars(self.history))
        best = self.checkpointer.recover_if_possible(max_key=max_key, min_key=min_key)
        vars(self.history).update(history)
        if best is None:
            raise ValueError(
                f"no trained model in {self.checkpointer.checkpoints_dir}: train first"
            )
        self.best_epoch = best.meta["epoch"]
        if self._num_averaged > 1:
            chosen = self.checkpointer.find_checkpoints(
                max_key=max_key, min_key=min_key, max_num_checkpoints=self._num_averaged
            )
            model = self.checkpointer.recoverables["model"]
            model.load_state_dict(average_checkpoints(chosen, "model"))

    def on_stage_start(self, stage, epoch=None):
        self._stage_began = time.perf_counter()
        if stage == Stage.TRAIN:
            standstill.advance()
            self.epoch = epoch
            self.train_numbers = {}
            if hasattr(self._train_dataset, "set_epoch"):  # other crops in every epoch
                self._train_dataset.set_epoch(epoch)
        else:
            self._loss_sum, self._loss_count = 0.0, 0
            self.score = self.new_score(stage)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        elapsed = time.perf_counter() - self._stage_began
        if stage == Stage.TRAIN:
            standstill.rest()
            self.history.seconds += elapsed
            self._train_record = {"loss": float(stage_loss), "seconds": elapsed}
            self._train_record |= self.train_numbers
            return
        record = self._merged_record()
        if stage == Stage.VALID:
            self.history.seconds += elapsed
            self.history.epochs.append(
                {
                    "epoch": epoch,
                    "lr": self.optimizer.param_groups[-1]["lr"],
                    "train": self._train_record,
                    "valid": {k: v for k, v in record.items() if isinstance(v, (int, float))},
                }
            )
            self.hparams.train_logger.log_stats(
                stats_meta={"epoch": epoch, "lr": f"{self.optimizer.param_groups[-1]['lr']:.2e}"},
                train_stats={"loss": self._train_record["loss"]},
                valid_stats={key: record[key] for key in ("loss", self.headline) if key in record},
            )
            if self.tracking is not None and if_main_process():
                self.tracking.log_epoch(self)
            if self.checkpointer is not None:
                keys = [self.headline] if self.task.higher_is_better else []
                self.checkpointer.save_and_keep_only(
                    meta={"epoch": epoch, self.headline: record[self.headline]},
                    max_keys=keys,
                    min_keys=[] if self.task.higher_is_better else [self.headline],
                    num_to_keep=self._num_averaged,
                    verbosity=logging.DEBUG,
                )
            if self._stops:
                raise interruption.StopRequested(interruption.requested())
            self._stop_early()
        else:
            self.test_record = record

    def _merged_record(self) -> dict:
        """Scores and loss of this stage over all ranks."""
        shares = [{"score": self.score.state(), "loss": self._loss_sum, "n": self._loss_count}]
        shares[0]["stops"] = bool(interruption.requested())
        if self.distributed_launch:
            mine = shares[0]
            shares = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(shares, mine)
        self._stops = any(share["stops"] for share in shares)
        self.score = self.score.from_state(*[share["score"] for share in shares])
        record = self.score.summarize()
        total = sum(share["n"] for share in shares)
        # Speakers who were not trained on have no class, so no loss either.
        return (
            {"loss": sum(share["loss"] for share in shares) / total, **record} if total else record
        )

    @property
    def _num_averaged(self) -> int:
        """How many of the best epochs' models are averaged for the test."""
        return getattr(self.hparams, "average_checkpoints", 1)

    def _stop_early(self) -> None:
        """End the loop when the headline score has not improved for `early_stopping_epochs`.

        Decided from the history alone, so that a resumed run decides the same.
        """
        patience = self.hparams.early_stopping_epochs
        best = self.history.best(self.headline, 1 if self.task.higher_is_better else -1)
        if patience and best >= 0 and len(self.history.epochs) - 1 - best >= patience:
            counter = self.hparams.epoch_counter
            if if_main_process() and counter.current < counter.limit:
                logger.info(
                    "No better %s for %d epochs: stopping at epoch %d",
                    self.headline,
                    patience,
                    counter.current,
                )
            counter.limit = counter.current

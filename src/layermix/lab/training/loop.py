"""Train one model: the loop from the first step to the evaluation on test data."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import InputError, RunError
from layermix.geometry import auto_weights
from layermix.hooks import Mixer
from layermix.hooks.batch import Batch, call
from layermix.hooks.sites import unwrap
from layermix.lab.data import Dataset
from layermix.lab.data.split import geometry_batch, geometry_batches
from layermix.lab.store import Record, RunResult
from layermix.lab.training.batches import Batches
from layermix.lab.training.compile_check import are_equal, compiled, has_equal_gradients
from layermix.lab.training.environment import RunSeeds, torch_seed
from layermix.lab.training.final_evaluation import evaluate_split, final_result
from layermix.lab.training.joined_norm import separate_norms
from layermix.lab.training.monitor import FeatureLoss, Monitor
from layermix.lab.training.optimization import Optimization
from layermix.lab.training.ranks import equal_buffers, mean_over_ranks, parallel_model
from layermix.lab.training.recipe import Recipe
from layermix.lab.training.sharding import BlockOrder
from layermix.mixing import MixedTarget, Target
from layermix.mixing.distributed import from_first, rank_info

_RANK_SEEDS = 1_000_003  # between the seeds of the model's random operations of two ranks


class Trainer:
    """Train a model on a data set with a recipe.

    Model and data must be on the same device. `crop` and `flip` of the recipe must not be ``auto``.

    Parameters
    ----------
    mix_at, mix_settings
        Mix points, of which each step uses one; empty to train without mixing. Further arguments of
        the `Mixer`, where `at` overrides `mix_at`; None uses the arguments of the recipe.
    monitor_at
        Mix points at which geometry is measured during training.
    adapt
        If True, mix more often at points with better separated classes. Training images are used
        for this measurement, because validation images choose the best variant.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Dataset,
        recipe: Recipe,
        mix_at: tuple[str, ...] = (),
        *,
        mix_settings: Mapping[str, Any] | None = None,
        monitor_at: tuple[str, ...] = (),
        seed: int = 0,
        adapt: bool = False,
    ) -> None:
        recipe = recipe.resolved(data.modality.default_optimizer)
        self.data, self.recipe, self.seed, self.seeds = data, recipe, seed, RunSeeds.of(seed)
        self.device = data.train.inputs.device
        self._amp = recipe.is_half(self.device)
        several, parallel = rank_info()[1] > 1, None
        if recipe.channels_last:
            model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if several and recipe.compile:
            raise InputError("compile is True, but several processes train the run: leave it out")
        if several:
            joined, shard = recipe.sync_batchnorm, recipe.shard
            few = data.preprocess(data.train.inputs[:3])
            parallel = parallel_model(model, self.device, few, joined_norms=joined, shard=shard)
            model = unwrap(parallel)
        self._order = BlockOrder(model) if several and recipe.shard else None
        self.raw_model, self.is_compiled = model, recipe.compile
        self.model: Any = parallel or (compiled(model) if recipe.compile else model)
        self.batches = Batches(data.train, data.preprocess, recipe, self.seeds)
        self.feature_loss = None
        if recipe.snnl_weight:
            few = data.preprocess(data.train.inputs[:3])
            self.feature_loss = FeatureLoss(self.model, recipe, few, mix_at)
        self.mixer = None
        if mix_at:
            settings = recipe.mixing() if mix_settings is None else mix_settings
            settings = {"at": mix_at, "norm_stats": recipe.norm_stats, **settings}
            joins = {"cross_rank": True} if several else {"rank": 0}
            self.mixer = Mixer(self.model, seed=self.seeds.mix, **{**joins, **settings})
        batch = geometry_batch(data, "validation")
        self.monitor = Monitor(model, batch, data.preprocess, monitor_at)
        self.adapt = None
        if self.mixer and adapt:
            batch = geometry_batch(data, "training")
            self.adapt = Monitor(model, batch, data.preprocess, mix_at)
        self.monitors = [each for each in (self.monitor, self.adapt) if each]
        self.steps = recipe.epochs * len(self.batches)
        half = self._amp and not several  # gradients are averaged in the precision of weights
        self.optimization = Optimization(model, recipe, self.steps, half=half)

    def train(self, *callbacks: Callable[[Record], object] | None) -> RunResult:
        """Train for all epochs, call the callbacks with each record, and return the result."""
        records = []
        for record in filter(None, self.progress()):
            records.append(record)
            for callback in filter(None, callbacks):
                callback(record)
        return final_result(self, records)

    def progress(self, finished: int | None = None) -> Iterator[Record | None]:
        """Train; yield a record before training and after each epoch, and None after each step.

        `finished` is the number of epochs after which a checkpoint was loaded, which are skipped.
        """
        if finished is None:
            yield {"epoch": 0, **self.measure()}
        for epoch in range((finished or 0) + 1, self.recipe.epochs + 1):
            started = time.perf_counter()
            record = yield from self._epoch(epoch)
            seconds = time.perf_counter() - started
            last = epoch == self.recipe.epochs
            if last or self.recipe.is_monitored(epoch):
                record |= self.measure(last)
            yield {"epoch": epoch, **record, "seconds": seconds}

    def run_epoch(self, epoch: int) -> Record:
        """Train for one epoch; return the learning rate, and the mean loss and accuracy."""
        steps = self._epoch(epoch)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    def _epoch(self, epoch: int) -> Generator[None, None, Record]:
        """Train for one epoch, and yield after each step; return as `run_epoch`."""
        self.model.train()
        if self.mixer:
            self.mixer.set_epoch(epoch - 1)
        losses, accuracies = [], []
        lr = self.optimization.lr
        # Blocks that are called at random must be the same in processes that divide them.
        seed = self.seeds.model + epoch + (0 if self._order else _RANK_SEEDS * rank_info()[0])
        with self.optimization.training(), torch_seed(seed):
            for x, labels in self.batches.epoch(epoch):
                loss, accuracy = self.run_step(x, labels)
                losses.append(loss)
                accuracies.append(accuracy)
                yield
        if self._order:
            self._order.check()
        equal_buffers(self.raw_model)
        loss = mean_over_ranks(torch.stack(losses))
        self._require_finite(loss)
        return {
            "lr": lr,
            "train_loss": float(loss.mean()),
            "train_accuracy": float(mean_over_ranks(torch.stack(accuracies)).mean()),
        }

    def run_step(self, x: Batch, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Train on a batch with labels (B,); return loss and accuracy, each ()."""
        if self.optimization.step == 0:
            self._check(x, labels)
        loss, output, target = self._loss(x, labels)
        self.optimization.minimize(loss)
        return loss.detach(), target.accuracy(output).detach()

    def _loss(self, x: Batch, labels: Tensor) -> tuple[Tensor, Any, Target]:
        """Return the loss of a batch, (), the output of the model, and the target."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._amp):
            output, target, point = self._forward(x, labels)
            loss = target.loss(output, label_smoothing=self.recipe.label_smoothing)
        if self.feature_loss:
            loss = loss + self.feature_loss(labels, target, point)
        return loss, output, target

    def _forward(self, x: Batch, labels: Tensor) -> tuple[Any, Target, str | None]:
        if self.mixer is None:
            return call(self.model, x), MixedTarget.clean(labels), None
        output, target = self.mixer(x, labels, self.model)
        return output, target, self.mixer.last and self.mixer.last.point

    def _check(self, x: Batch, labels: Tensor) -> None:
        """Go on without compiling, or without `HalfWeights`, if either changes the gradients."""
        model, plans = self.model, self.mixer and self.mixer.state_dict()

        def loss_of(which: Any) -> Tensor:
            self.model = which
            try:
                return self._loss(x, labels)[0]
            finally:
                if self.mixer and plans:
                    self.mixer.load_state_dict(plans)

        half, raw = self.optimization.half_weights, self.raw_model
        if half and not are_equal(raw, lambda: loss_of(raw), half.paused):
            self.optimization.use_autocast()
        if self.is_compiled:
            exact = self._exact if self._amp else None
            self.is_compiled = has_equal_gradients(raw, model, loss_of, exact)
            model = model if self.is_compiled else raw
        self.model = model

    @contextmanager
    def _exact(self) -> Iterator[None]:
        """Inside the block, losses and gradients are computed in float32."""
        with self.optimization.exact():
            self._amp = False
            try:
                yield
            finally:
                self._amp = True

    def measure(self, last: bool = False) -> Record:
        """Evaluate the validation data, and measure the geometry of the monitored batch.

        The SNNL is always measured; other quantities only in the last epoch or without mixing. In
        the last epoch without mixing, several held-out batches are measured too.
        """
        val = evaluate_split(self, "val")
        with separate_norms(self.raw_model):  # every process measures the same
            return {"val_accuracy": val["accuracy"], "val_nll": val["nll"], **self._geometry(last)}

    def _geometry(self, last: bool) -> Record:
        geometry = self.recipe.geometry and (last or self.mixer is None)
        found = self.monitor.measure(geometry=geometry)
        if geometry and last and self.mixer is None:
            found["batches"] = self.monitor.measure_batches(geometry_batches(self.data, self.seed))
        if self.mixer and self.adapt:
            snnl = self.adapt.measure()["snnl"]
            shares = {point: each["value"] / each["chance"] for point, each in snnl.items()}
            found["weights"] = from_first(auto_weights(shares))
            self.mixer.reweigh(found["weights"])
        return found

    def _require_finite(self, losses: Tensor) -> None:
        bad = (~losses.isfinite()).nonzero().flatten()
        if len(bad):
            step = self.optimization.step - len(losses) + int(bad[0]) + 1
            raise RunError(
                f"the loss became {float(losses[bad[0]])} at step {step} of {self.steps}: try a "
                f"lower --lr than {self.recipe.lr} or a longer --warmup than {self.recipe.warmup}, "
                "and check the data and the model for NaN"
            )

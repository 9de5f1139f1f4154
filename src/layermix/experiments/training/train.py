"""Train one net once: the loop, from the first step to the one look at the test data.

Shapes: B batch, C channels, H height, W width.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import RunError
from layermix.experiments.data import Batches, Dataset, Normalise, adapt_batch, watch_batch
from layermix.experiments.training.evaluate import measures, predict, predict_views
from layermix.experiments.training.feature_loss import FeatureLoss
from layermix.experiments.training.lookahead import Lookahead
from layermix.experiments.training.recipe import Recipe
from layermix.experiments.training.streams import Streams, torch_seed
from layermix.experiments.training.trained import Record, Trained
from layermix.experiments.training.watch import Watch
from layermix.geometry import auto_weights
from layermix.hooks import Mixer
from layermix.mixing import MixedTarget, Target


class Trainer:
    """One net, its data and its optimiser, between the first step and the last.

    Parameters
    ----------
    model
        The net, on its device.
    data
        Training, validation and test images, on the same device.
    recipe
        How to train; crop and flip must be given.
    mix_at
        Mix points, of which each step takes one; none to train without mixing.
    watch_at
        Mix points whose geometry is measured over training.
    seed
        Seed of the run.
    adapt
        Mix at each point as often as its classes are apart, measured anew whenever geometry is
        watched, on training images: validation data choose the winner and must not shape a run.
    how
        How to mix there, as arguments of a `Mixer`; as the recipe says when left out.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Dataset,
        recipe: Recipe,
        mix_at: tuple[str, ...],
        watch_at: tuple[str, ...],
        seed: int,
        adapt: bool = False,
        how: Mapping[str, Any] | None = None,
    ) -> None:
        streams = Streams.of(seed)
        self.data, self.recipe, self.streams = data, recipe, streams
        self.device = data.train.images.device
        if recipe.channels_last:
            model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.net = model
        self.model: Any = _compiled(model) if recipe.compile else model
        self.batches = _batches(data, recipe, streams)
        self.normalise = self.batches.normalise
        self.feature_loss = None
        if recipe.snnl_weight:
            few = self.normalise(data.train.images[:3])
            self.feature_loss = FeatureLoss(
                self.model, recipe.snnl_at, recipe.snnl_weight, few, mix_at
            )
        self.mixer = None
        if mix_at:
            settings = recipe.mixing() if how is None else how
            self.mixer = Mixer(self.model, mix_at, seed=streams.mix, rank=0, **settings)
        self.watch = Watch(model, watch_batch(data), self.normalise, watch_at)
        self.adapt = None
        if self.mixer and adapt:
            self.adapt = Watch(model, adapt_batch(data), self.normalise, mix_at)
        self.steps = recipe.epochs * len(self.batches)
        self.step = 0
        self.lookahead = Lookahead(model, self.steps) if recipe.lookahead else None
        self.optimiser = recipe.optimiser(model)
        self.schedule = recipe.schedule(self.optimiser, self.steps)

    def train(self, on_epoch: Callable[[Record], None], keep_features: bool = False) -> Trained:
        """Run all epochs, call `on_epoch` with the record of each, then measure on test data."""
        features = self._features("start") if keep_features else {}
        on_epoch({"epoch": 0, **self.measure()})
        seconds = 0.0
        for epoch in range(1, self.recipe.epochs + 1):
            started = time.perf_counter()
            record = self.run_epoch(epoch)
            spent = time.perf_counter() - started
            seconds += spent
            last = epoch == self.recipe.epochs
            if last or self.recipe.watched(epoch):
                record |= self.measure(last)
            on_epoch({"epoch": epoch, **record, "seconds": spent})
        if keep_features:
            features |= self._features("end")
        return Trained(
            measures=self._measure("test"),
            views=self._views(),
            val=self._measure("val"),
            seconds=seconds,
            geometry_seconds=self.watch.seconds + (self.adapt.seconds if self.adapt else 0.0),
            images_per_second=self.steps * self.batches.size / seconds,
            model=self.net,
            features=features,
        )

    def run_epoch(self, epoch: int) -> Record:
        """Train on every training image once; return mean loss and accuracy on mixed labels."""
        self.model.train()
        if self.mixer:
            self.mixer.set_epoch(epoch - 1)
        losses, hits = [], []
        lr = self.optimiser.param_groups[0]["lr"]
        with torch_seed(self.streams.model + epoch):
            for x, labels in self.batches.epoch(epoch):
                loss, accuracy = self.run_step(x, labels)
                losses.append(loss)
                hits.append(accuracy)
        loss = torch.stack(losses)  # the one look of an epoch at what the device computed
        self._require_finite(loss)
        return {
            "lr": lr,
            "train_loss": float(loss.mean()),
            "train_accuracy": float(torch.stack(hits).mean()),
        }

    def run_step(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Train on a batch (B, C, H, W) with labels (B,); return loss and accuracy, both ()."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._amp):
            output, target, point = self._forward(x, labels)
            loss = target.loss(output, label_smoothing=self.recipe.label_smoothing)
        if self.feature_loss:
            loss = loss + self.feature_loss(labels, target, point)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        if self.lookahead:
            self.lookahead.after(self.step)
        return loss.detach(), target.accuracy(output).detach()

    def _forward(self, x: Tensor, labels: Tensor) -> tuple[Any, Target, str | None]:
        """Return output and target of a forward pass, and where it was mixed."""
        if self.mixer is None:
            return self.model(x), MixedTarget.clean(labels), None
        if not self.step:
            self.mixer.check(x)
        plan = self.mixer.draw(len(x), labels=labels, inputs=x)
        with self.mixer.apply(plan) as mixed:
            output = self.model(x)
        return output, mixed.target(labels), plan.point

    def measure(self, last: bool = False) -> Record:
        """Measure validation data, and the geometry of the watched batch.

        Every quantity of every layer is measured where nothing is mixed, and at the end of every
        run; else the SNNL alone.
        """
        val = self._measure("val")
        whole = self.recipe.geometry and (last or self.mixer is None)
        found = self.watch.geometry() if whole else self.watch.snnl()
        if self.mixer and self.adapt:
            snnl = self.adapt.snnl()["snnl"]
            found["weights"] = auto_weights(
                {point: each["value"] / each["chance"] for point, each in snnl.items()}
            )
            self.mixer.reweigh(found["weights"])
        return {"val_accuracy": val["accuracy"], "val_nll": val["nll"], **found}

    def _features(self, when: str) -> dict[str, Tensor]:
        found = self.watch.activations().items()
        return {f"{when}.{point}": features.flatten(1).cpu() for point, features in found}

    def _views(self) -> dict[str, float] | None:
        """Return the measures of the mean over views of each test image, where they are wanted."""
        if not self.recipe.views:
            return None
        mirror, test = bool(self.recipe.flip), self.data.test
        return measures(predict_views(self.model, test, self.normalise, mirror), test.labels)

    def _measure(self, split: str) -> dict[str, float]:
        part = getattr(self.data, split)
        return measures(predict(self.model, part, self.normalise), part.labels)

    def _require_finite(self, losses: Tensor) -> None:
        bad = (~losses.isfinite()).nonzero().flatten()
        if len(bad):
            step = self.step - len(losses) + int(bad[0]) + 1
            raise RunError(
                f"the loss became {float(losses[bad[0]])} at step {step} of {self.steps}: try a "
                f"lower --lr (it is {self.recipe.lr}) or a longer --warmup "
                f"(it is {self.recipe.warmup}), and look for images or layers that give NaN"
            )

    @property
    def _amp(self) -> bool:
        if self.device.type == "cpu":
            return self.recipe.bfloat16
        return self.recipe.amp and self.device.type == "cuda" and torch.cuda.is_bf16_supported()


def _compiled(model: nn.Module) -> Any:
    """Compile a net; what an earlier run compiled comes back from torch's cache on disk.

    In memory it must be forgotten: torch would take it for this net too, which is of the same
    class, and so leave out the hooks that are new.
    """
    torch.compiler.reset()
    return torch.compile(model)


def _batches(data: Dataset, recipe: Recipe, streams: Streams) -> Batches:
    return Batches(
        data.train,
        Normalise.of(data.train),
        recipe.batch_size,
        crop=recipe.crop or 0,
        flip=bool(recipe.flip),
        alternate=recipe.alternate,
        channels_last=recipe.channels_last,
        order=streams.order,
        augment=streams.augment,
    )

"""Evaluate the model of a trainer on validation and test data.

Shapes: N examples, K classes.
"""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from layermix.hooks.norm_stats import batch_norms
from layermix.lab.store import Record, RunResult
from layermix.lab.training.logits import (
    clean_norm_stats,
    metrics_of,
    predict_logits,
    stored_logits,
)
from layermix.lab.training.metrics import metrics

if TYPE_CHECKING:
    from layermix.lab.training.loop import Trainer


def final_result(trainer: "Trainer", records: list[Record]) -> RunResult:
    """Return the result of a training with the records of all epochs."""
    data, seconds = trainer.data, sum(record["seconds"] for record in records[1:])
    labels = {name: getattr(data, name).labels.cpu() for name in ("val", "test")}
    clean = {}
    if batch_norms(trainer.raw_model):
        order = np.random.default_rng(trainer.seeds.order).permutation(len(data.train))
        with clean_norm_stats(trainer.raw_model, data, order, trainer.batches.size):
            clean = _logits(trainer)
    logits = stored_logits(_logits(trainer), labels, clean)
    found = metrics_of(logits)
    return RunResult(
        test=found["test"],
        val=found["val"],
        clean=metrics_of(logits, "clean") if clean else None,
        test_views=evaluate_split(trainer, "test", views=True) if trainer.recipe.views else None,
        sizes=data.sizes | {"monitored": len(trainer.monitor.batch)},
        classes=list(data.classes),
        subset=data.subset,
        digests=data.digests,
        timings={
            "seconds": seconds,
            "geometry_seconds": sum(monitor.seconds for monitor in trainer.monitors),
            "examples_per_second": trainer.steps * trainer.batches.size / seconds,
        },
        records=records,
        logits=logits,
    )


def evaluate_split(trainer: "Trainer", name: str, *, views: bool = False) -> dict[str, float]:
    """Return the metrics of a split, ``"val"`` or ``"test"``; see `predict_logits` for `views`."""
    split, (_, flip) = getattr(trainer.data, name), trainer.recipe.crop_and_flip
    preprocess = trainer.data.preprocess
    logits = predict_logits(trainer.model, split, preprocess, views=views, flip=flip)
    return metrics(logits, split.labels)


def _logits(trainer: "Trainer") -> dict[str, Tensor]:
    """Return the logits of validation and test data, float32 (N, K)."""
    data = trainer.data
    splits = {"val": data.val, "test": data.test}
    return {n: predict_logits(trainer.model, s, data.preprocess) for n, s in splits.items()}

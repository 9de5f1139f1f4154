"""Evaluate the model of a trainer on validation and test data.

Shapes: N examples, K classes.
"""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from layermix.hooks.norm_stats import batch_norms
from layermix.lab.data import Split
from layermix.lab.store import Record, RunResult
from layermix.lab.training.joined_norm import separate_norms
from layermix.lab.training.logits import (
    clean_norm_stats,
    metrics_of,
    predict_logits,
    stored_logits,
)
from layermix.lab.training.metrics import metrics
from layermix.lab.training.ranks import gathered_rows, own_rows
from layermix.mixing.distributed import rank_info

if TYPE_CHECKING:
    from layermix.lab.training.loop import Trainer


def final_result(trainer: "Trainer", records: list[Record]) -> RunResult:
    """Return the result of a training with the records of all epochs."""
    data, seconds = trainer.data, sum(record["seconds"] for record in records[1:])
    labels = {name: getattr(data, name).labels.cpu() for name in ("val", "test")}
    clean = {}
    if batch_norms(trainer.raw_model):
        order = np.random.default_rng(trainer.seeds.order).permutation(len(data.train))
        clean_norms = clean_norm_stats(trainer.raw_model, data, order, trainer.batches.joined)
        with separate_norms(trainer.raw_model), clean_norms:  # the same in every process
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
            "examples_per_second": trainer.steps * trainer.batches.joined / seconds,
        },
        records=records,
        logits=logits,
    )


def evaluate_split(trainer: "Trainer", name: str, *, views: bool = False) -> dict[str, float]:
    """Return the metrics of a split, ``"val"`` or ``"test"``; see `predict_logits` for `views`."""
    split, (_, flip) = getattr(trainer.data, name), trainer.recipe.crop_and_flip
    return metrics(_predicted(trainer, split, views=views, flip=flip), split.labels)


def _logits(trainer: "Trainer") -> dict[str, Tensor]:
    """Return the logits of validation and test data, float32 (N, K)."""
    return {name: _predicted(trainer, getattr(trainer.data, name)) for name in ("val", "test")}


def _predicted(trainer: "Trainer", split: Split, **views: bool) -> Tensor:
    """Return the logits of a split, of which each process predicts a part."""
    preprocess = trainer.data.preprocess
    if rank_info()[1] == 1:
        return predict_logits(trainer.model, split, preprocess, **views)
    part = split[own_rows(len(split)).to(split.labels.device)]
    logits = predict_logits(trainer.raw_model, part, preprocess, **views)
    return gathered_rows(logits, len(split))

"""Check the contents of a run's files: types, ranges, and that they do not contradict each other.

The hashes of a manifest show that files were not changed after the run. These checks also find
values that were wrong when the run was written.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Required

import torch
from torch import Tensor
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from layermix.lab.store.manifest import DamagedRun
from layermix.lab.training.metrics import BOUNDS

_SPLITS = ("val", "test")
_SIZES = ("train", "val", "test", "classes")
_CONDITIONS = ("layermix", "device")
_LOGITS = ("logits", "clean")
_ROUNDING = 1e-5

if TYPE_CHECKING:
    from layermix.lab.store.records import RunResult


class SnnlRecord(TypedDict):
    """The soft nearest neighbor loss of a layer: value and chance in nats."""

    value: float
    temperature: float
    chance: float
    n: int


class EpochRecord(TypedDict, total=False):
    """The record of an epoch; epoch 0 is before training."""

    epoch: Required[int]
    lr: float
    train_loss: float
    train_accuracy: float
    val_accuracy: float
    val_nll: float
    snnl: dict[str, SnnlRecord]
    geometry: dict[str, dict[str, float | None]]
    batches: dict[str, list[dict[str, dict[str, float | None]]]]
    weights: dict[str, float]
    seconds: float


def check_result(result: "RunResult", *, is_own: bool) -> None:
    """Raise a `DamagedRun` if a value of a result, of the right type, is out of its range.

    If `is_own` is True, a function of the user returned the metrics, of which only the accuracy
    has a range.
    """
    found = {"val": result.val, "test": result.test}
    if result.test_views is not None:
        found["test_views"] = result.test_views
    if result.clean is not None:
        found |= {f"clean {split}": result.clean.get(split, {}) for split in _SPLITS}
    for split, metrics in found.items():
        _check_metrics(split, metrics, ("accuracy",) if is_own else tuple(BOUNDS))
    sizes = result.sizes
    for name in _SIZES:
        _require(sizes.get(name, -1) >= 0, f"sizes.{name}", sizes.get(name))
    named = len(result.classes) == sizes["classes"] > 0
    _require(named, "the number of classes", sizes["classes"])
    for name in _CONDITIONS:
        _require(name in result.conditions, f"conditions.{name}", None)
    for name, seconds in result.timings.items():
        _require(seconds >= 0, f"timings.{name}", seconds)


def _check_metrics(split: str, metrics: Mapping[str, float], names: Sequence[str]) -> None:
    _require("accuracy" in metrics, f"{split}.accuracy", None)
    for name in metrics.keys() & names:
        value, (low, high) = metrics[name], BOUNDS[name]
        undefined = math.isnan(value) and name != "accuracy"
        _require(undefined or low <= value <= high, f"{split}.{name}", value)


def check_epochs(records: Sequence[EpochRecord], epochs: int) -> None:
    """Raise a `DamagedRun` if records are not those of all epochs, from 0 to `epochs`."""
    found = [record["epoch"] for record in records]
    _require(found == list(range(epochs + 1)), "the epochs", found)
    for record in records:
        for name in ("train_accuracy", "val_accuracy"):
            value = record.get(name, 0.0)
            _require(0 <= value <= 1, f"{name} of epoch {record['epoch']}", value)
        loss = record.get("train_loss", 0.0)
        _require(math.isfinite(loss), f"train_loss of epoch {record['epoch']}", loss)
        for layer, snnl in record.get("snnl", {}).items():
            _require(snnl["chance"] > 0, f"the chance of the SNNL at {layer!r}", snnl["chance"])


def check_logits(logits: Mapping[str, Tensor], result: "RunResult") -> None:
    """Raise a `DamagedRun` if stored logits have other sizes, or other metrics."""
    sizes, trained = result.sizes, {"val": result.val, "test": result.test}
    results = {"logits": trained, "clean": result.clean or {}}
    for split in _SPLITS:
        labels, classes = logits.get(f"{split}.labels"), sizes["classes"]
        for kind in _LOGITS:
            values = logits.get(f"{split}.{kind}")
            if values is None:
                continue
            _require_logits(f"{split}.{kind}", values, (sizes[split], classes))
            _require_labels(f"{split}.labels", labels, sizes[split], classes)
            assert labels is not None
            stored = results[kind].get(split, {})
            recomputed = _recomputed(values.float(), labels.long())
            for name, found in recomputed.items():
                same = name in stored and _are_close(stored[name], found)
                text = f"{split}.{name}, which is {found} by the stored {kind},"
                _require(same, text, stored.get(name))
            for name, value in stored.items() if math.isfinite(recomputed["nll"]) else ():
                _require(not math.isnan(value), f"{split}.{name}", value)


def _recomputed(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return accuracy and NLL of logits in float32, which takes less time than all metrics."""
    chosen = logits.gather(1, labels[:, None]).squeeze(1)
    nll = float((logits.logsumexp(1) - chosen).mean(dtype=torch.float64))
    accuracy = float((logits.argmax(1) == labels).mean(dtype=torch.float64))
    return {"accuracy": accuracy, "nll": nll if math.isfinite(nll) else math.nan}


def _require_logits(name: str, values: Tensor, shape: tuple[int, int]) -> None:
    right = values.dtype.is_floating_point and values.shape == shape
    _require(right, name, f"{values.dtype} of shape {tuple(values.shape)}")


def _require_labels(name: str, labels: Tensor | None, size: int, classes: int) -> None:
    _require(labels is not None, name, None)
    assert labels is not None
    right = labels.shape == (size,) and not labels.dtype.is_floating_point
    _require(right, name, f"{labels.dtype} of shape {tuple(labels.shape)}")
    _require(bool(((labels >= 0) & (labels < classes)).all()), name, "not all of a class")


def _are_close(one: float, other: float) -> bool:
    both = math.isnan(one) and math.isnan(other)
    return both or math.isclose(one, other, rel_tol=_ROUNDING, abs_tol=_ROUNDING)


def _require(condition: bool, what: str, value: Any) -> None:
    if not condition:
        raise DamagedRun(f"{what} is {'missing' if value is None else value}")

"""Predictions of a model on a split, as they are stored.

Shapes: N examples, K classes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layermix.hooks import update_norm_stats
from layermix.hooks.batch import call
from layermix.hooks.norm_stats import restored_norm_stats
from layermix.lab.data import Dataset, Split
from layermix.lab.data.modality import Preprocess
from layermix.lab.training.metrics import evaluate
from layermix.mixing.targets.target import logits_of

_BATCH = 512
_LARGEST = torch.finfo(torch.float16).max


@torch.no_grad()
def predict_logits(
    model: nn.Module,
    split: Split,
    preprocess: Preprocess,
    *,
    views: bool = False,
    flip: bool = False,
) -> Tensor:
    """Return the logits of a split in eval mode, float32 (N, K).

    If `views` is True, logits are weighted means over views of each image (Jordan, 2024): 1/2 for
    the image, and 1/4 for each of two diagonal shifts by one pixel. If `flip` is also True, the
    logits of each view are averaged with those of its mirror image.
    """
    training = model.training
    model.eval()
    logits = []
    for inputs in split.inputs.split(_BATCH):
        x = preprocess(inputs)
        several = _views(x, flip) if views else [x]
        outputs = [logits_of(call(model, each)).float() for each in several]
        logits.append(torch.stack(outputs).mean(0))
    model.train(training)
    return torch.cat(logits)


@contextmanager
def clean_norm_stats(
    model: nn.Module, data: Dataset, order: np.ndarray, batch_size: int
) -> Iterator[None]:
    """Inside the block, a model has the norm statistics of unmixed, unaugmented training data.

    `order`, int64 (N,), is that of the training examples.
    """
    inputs = data.train.inputs
    index = torch.from_numpy(order).to(inputs.device)
    batches = index.tensor_split(-(-len(index) // batch_size))
    with restored_norm_stats(model):
        update_norm_stats(model, (data.preprocess(inputs[part]) for part in batches))
        yield


def as_stored(logits: Tensor) -> Tensor:
    """Return logits (N, K) minus the largest of each row as float16, in which they are stored.

    Their softmax is that of the logits. Metrics are computed from these, so that stored logits
    reproduce them. Values below -65,504 become this value.
    """
    return (logits - logits.amax(1, keepdim=True)).clamp(min=-_LARGEST).half().cpu()


def stored_logits(
    raw: Mapping[str, Tensor], labels: Mapping[str, Tensor], clean: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return logits (N, K) and labels (N,) of each split, by the names under which they are stored.

    Names are those of a `RunResult`; `clean` are logits with clean norm statistics, or empty.
    """
    found = {f"{name}.labels": values.int() for name, values in labels.items()}
    for kind, largest, logits in (("logits", "max", raw), ("clean", "clean_max", clean)):
        found |= {f"{name}.{kind}": as_stored(values) for name, values in logits.items()}
        found |= {f"{name}.{largest}": values.amax(1).cpu() for name, values in logits.items()}
    return found


def metrics_of(stored: Mapping[str, Tensor], kind: str = "logits") -> dict[str, dict[str, float]]:
    """Return the metrics of stored logits, of the kind ``"logits"`` or ``"clean"``, by split."""
    labels = {name: stored[f"{name}.labels"].long() for name in ("val", "test")}
    return evaluate({name: stored[f"{name}.{kind}"] for name in labels}, labels)


def _views(x: Tensor, flip: bool) -> list[Tensor]:
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    views = [x, x, padded[..., :-2, :-2], padded[..., 2:, 2:]]
    return [each for view in views for each in ((view, view.flip(3)) if flip else (view,))]

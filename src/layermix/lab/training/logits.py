"""Predictions of a model on a split, as they are stored.

Shapes: N examples, K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layermix.hooks.batch import call
from layermix.lab.data import Split
from layermix.lab.data.modality import Preprocess
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


def as_stored(logits: Tensor) -> Tensor:
    """Return logits (N, K) minus the largest of each row as float16, in which they are stored.

    Their softmax is that of the logits. Metrics are computed from these, so that stored logits
    reproduce them. Values below -65,504 become this value.
    """
    return (logits - logits.amax(1, keepdim=True)).clamp(min=-_LARGEST).half().cpu()


def _views(x: Tensor, flip: bool) -> list[Tensor]:
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    views = [x, x, padded[..., :-2, :-2], padded[..., 2:, 2:]]
    return [each for view in views for each in ((view, view.flip(3)) if flip else (view,))]

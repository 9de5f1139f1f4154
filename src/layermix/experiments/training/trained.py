"""What a training leaves: its measures, its times, the net."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

Record = dict[str, Any]


@dataclass
class Trained:
    """What a training leaves.

    Attributes
    ----------
    measures
        Final measures on the test data.
    val
        The same on the validation data.
    views
        Those on views of the test data; None where they are not wanted.
    seconds
        Training time without measuring, in seconds.
    geometry_seconds
        Time spent on the geometry of the watched batch.
    images_per_second
        Training images seen per second of that time.
    model
        The trained net.
    features
        Activations of the watched batch before and after training, by mix point; when kept.
    """

    measures: dict[str, float]
    val: dict[str, float]
    views: dict[str, float] | None
    seconds: float
    geometry_seconds: float
    images_per_second: float
    model: nn.Module
    features: dict[str, Tensor] = field(default_factory=dict)

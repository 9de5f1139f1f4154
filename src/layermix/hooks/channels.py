"""Where the channels of an activation are: dimension 1, as in maps, or the last, as in tokens.

The last layer inside a module says how wide its output is: the dimension of that size has the
channels. Where both have it, or none, convolutions and batch norms speak for dimension 1, linear
layers and layer norms for the last; without any layer, tokens have their channels last, maps and
volumes first.

Shapes of one example, without the batch: (d,), tokens (L, d), signals (C, L), maps (C, H, W) or,
as in Swin, (H, W, C), volumes (C, D, H, W).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

Channels = Literal[1, -1]
Side = Literal["before", "after"]

_CONVOLUTIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.GroupNorm),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
)

# Under which names layers keep the width of what they return and of what they take.
_OUT = ("out_channels", "num_features", "num_channels", "out_features", "embedding_dim", "nf")
_IN = ("in_channels", "num_features", "num_channels", "in_features", "input_size", "nx")


@dataclass(frozen=True)
class Layout:
    """What the layers of a module say about the channels of what it takes or returns.

    Attributes
    ----------
    width
        How many channels there are; None without a layer.
    maps
        Whether a convolution is among the layers.
    signals
        Whether the layer that gives the width is one.
    """

    width: int | None = None
    maps: bool = False
    signals: bool = False

    def channels(self, example: Sequence[int]) -> Channels:
        """Return the dimension of the channels, 1 or -1, counted with the batch as dimension 0.

        Parameters
        ----------
        example
            Shape of one example of the activation, without the batch.
        """
        if len(example) < 2:
            return 1
        first, last = example[0] == self.width, example[-1] == self.width
        if first != last:
            return 1 if first else -1
        if not first:  # no layer, or the width of something flattened, which says nothing
            return -1 if len(example) == 2 and not self.signals else 1
        # Maps come from convolutions even where, as in ConvNeXt, linear layers stand between them.
        return 1 if (self.maps if len(example) > 2 else self.signals) else -1


def layout(module: nn.Module, side: Side) -> Layout:
    """Return what a module says about what it takes (`side` is ``"before"``) or returns."""
    layers = [layer for layer in module.modules() if _width(layer, side) is not None]
    if not layers:
        return Layout()
    layer = layers[0 if side == "before" else -1]
    return Layout(_width(layer, side), any(map(_is_convolution, layers)), _is_convolution(layer))


def _width(layer: nn.Module, side: Side) -> int | None:
    """Return how many channels a layer with parameters takes or returns; None for what is none."""
    inner = any(next(child.parameters(), None) is not None for child in layer.children())
    if inner or next(layer.parameters(recurse=False), None) is None:
        return None
    for name in _IN if side == "before" else _OUT:
        if isinstance(width := getattr(layer, name, None), int):
            return width
    if isinstance(layer, nn.LayerNorm | nn.RMSNorm):
        return layer.normalized_shape[-1]
    if isinstance(layer, nn.RNNBase):
        return (layer.proj_size or layer.hidden_size) * (2 if layer.bidirectional else 1)
    return None


def _is_convolution(layer: nn.Module) -> bool:
    """Tell convolutions, batch norms and norms of maps, whose names end in 2d."""
    return isinstance(layer, _CONVOLUTIONS) or type(layer).__name__.endswith("2d")

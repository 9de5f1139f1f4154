"""Find the channel dimension of an activation: 1, as in maps, or -1, as in tokens.

It is the dimension whose size equals the number of channels of the module's last layer (of its
first layer for an input). If both dimensions have this size, it is 1 for convolutions and batch
norms, and -1 for linear layers and layer norms. If neither has it, it is -1 for tokens, and 1 for
signals, maps and volumes. Shapes of one example: vectors (d,), tokens (L, d), signals (C, L), maps
(C, H, W) or (H, W, C), volumes (C, D, H, W).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from layermix.hooks.sites import HookSide

Channels = Literal[1, -1]

_CONVOLUTIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.GroupNorm),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
)

_WIDTHS: dict[HookSide, tuple[str, ...]] = {  # attributes with the width of input or output
    "before": ("in_channels", "num_features", "num_channels", "in_features", "input_size", "nx"),
    "after": (
        "out_channels",
        "num_features",
        "num_channels",
        "out_features",
        "embedding_dim",
        "nf",
    ),
}


@dataclass(frozen=True)
class Layout:
    """Number of channels of a module's input or output, and if its layers are convolutions."""

    width: int | None = None  # number of channels; None if there is no layer with parameters
    maps: bool = False  # True if a convolution is among the layers
    signals: bool = False  # True if the layer that gives the width is a convolution

    def channels(self, example: Sequence[int]) -> Channels:
        """Return the channel dimension of a batched activation, from the shape of one example."""
        if len(example) < 2:
            return 1
        first, last = example[0] == self.width, example[-1] == self.width
        if first != last:
            return 1 if first else -1
        if not first:  # no layer, or the width of a flattened tensor
            return -1 if len(example) == 2 and not self.signals else 1
        # Convolutions return maps, even if linear layers are between them, as in ConvNeXt.
        return 1 if (self.maps if len(example) > 2 else self.signals) else -1


def layout(module: nn.Module, side: HookSide) -> Layout:
    """Return the layout of a module's input if `side` is ``"before"``, else of its output."""
    layers = [layer for layer in module.modules() if _width(layer, side) is not None]
    if not layers:
        return Layout()
    layer = layers[0 if side == "before" else -1]
    return Layout(_width(layer, side), any(map(_is_convolution, layers)), _is_convolution(layer))


def _width(layer: nn.Module, side: HookSide) -> int | None:
    """Return the number of channels of a layer with parameters, or None for other modules."""
    inner = any(next(child.parameters(), None) is not None for child in layer.children())
    if inner or next(layer.parameters(recurse=False), None) is None:
        return None
    for name in _WIDTHS[side]:
        if isinstance(width := getattr(layer, name, None), int):
            return width
    if isinstance(layer, nn.LayerNorm | nn.RMSNorm):
        return layer.normalized_shape[-1]
    if isinstance(layer, nn.RNNBase):
        return (layer.proj_size or layer.hidden_size) * (2 if layer.bidirectional else 1)
    return None


def _is_convolution(layer: nn.Module) -> bool:  # class names of norms of maps end in 2d
    return isinstance(layer, _CONVOLUTIONS) or type(layer).__name__.endswith("2d")

"""Which dimension of an activation has the channels, and which have the positions.

Maps have them second, (B, C, H, W), tokens last, (B, L, C), and so do the maps of Swin. The shape
alone does not tell: (B, 64, 64) may be a signal or tokens. But the channels are as many as the
layer before the mix point gives, or at the input as the first layer takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from layermix.attach.site import Site


@dataclass(frozen=True)
class Layout:
    """What the layers of a model say about the channels at a site.

    Attributes
    ----------
    width
        How many there are; None when no layer says it.
    last
        Whether that layer has its channels last; None when it does not say.
    """

    width: int | None = None
    last: bool | None = None

    def channels(self, shape: Sequence[int]) -> int:
        """Return 1 or -1: where the channels of an activation of this shape, (B, ...), are."""
        if len(shape) < 3:
            return 1
        second, last = shape[1] == self.width, shape[-1] == self.width
        if second != last:
            return 1 if second else -1
        # A width that is in neither place is that of something flattened, and says nothing.
        at_the_end = self.last if second else len(shape) == 3
        return -1 if at_the_end else 1


def layout(model: nn.Module, site: Site) -> Layout:
    """Return what the layers of a model say about the channels at one of its sites."""
    if site.name == "input":
        return next((_taken(layer) for layer in model.modules() if _is_layer(layer)), Layout())
    if site.side == "before":
        return _taken(site.module)
    found, inside = Layout(), set(site.module.modules())
    for layer in model.modules():
        if _is_layer(layer):
            found = _given(layer)
        inside.discard(layer)
        if not inside:
            return found
    return found


def _is_layer(module: nn.Module) -> bool:
    return not any(True for _ in module.children()) and _given(module) != Layout()


def _taken(layer: nn.Module) -> Layout:
    """Return what a layer says about the channels of what it takes."""
    width = getattr(layer, "in_channels", getattr(layer, "in_features", None))
    given = _given(layer)
    return given if width is None else Layout(width, given.last)


def _given(layer: nn.Module) -> Layout:
    """Return what a layer says about the channels of what it gives."""
    for name, last in _WIDTHS.items():
        width = getattr(layer, name, None)
        if isinstance(width, tuple | list) and width:
            width = width[-1]
        if isinstance(width, int):
            return Layout(width, last)
    return Layout()


# Attributes in which torch's layers keep their width, and whether their channels are last.
_WIDTHS = {
    "out_channels": False,  # convolutions
    "out_features": True,  # linear layers
    "normalized_shape": True,  # layer norm
    "num_channels": False,  # group norm
    "num_features": False,  # batch norm
    "embedding_dim": True,
    "hidden_size": True,  # recurrent layers
}

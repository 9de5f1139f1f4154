"""The hooks of one mixer in one model, and the switch they share.

Those of its sites mix, those behind them unite attention masks.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from layermix.attach.batch import Batch, batch_size, checked
from layermix.attach.hooks import Hook, install
from layermix.attach.mask_hooks import install_masks
from layermix.attach.probe import Probe
from layermix.attach.site import find
from layermix.attach.structure import main_tensor
from layermix.attach.switch import Switch
from layermix.errors import InputError


class Wiring:
    """Permanent hooks at some mix points of an unwrapped model.

    Raises
    ------
    InputError
        For an unknown mix point, or a batch dimension that is none.
    """

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str],
        batch_dim: int = 0,
        one_graph: bool = False,
        late: bool = False,
    ) -> None:
        self.batch_dim = checked(batch_dim)
        self.model = model
        self.switch = Switch(names if one_graph else None)
        self.sites = {name: find(model, name) for name in names}
        self._hooks: dict[str, list[Hook]] = {
            name: install(site, self.switch, batch_dim, late) for name, site in self.sites.items()
        }
        self._masks = install_masks(model, self.sites.values(), self.switch)

    def probe(self, x: Batch, names: Iterable[str]) -> Probe:
        """Look in silent forward passes what passes some of the points."""
        return Probe(self.model, [self.sites[name] for name in names], x, self.batch_dim)

    def batch_size(self, x: Batch, y: Any) -> int:
        """Return the number of examples, or say what to declare where the labels have another."""
        size = batch_size(x, self.batch_dim)
        labels = len(y) if getattr(y, "ndim", 0) else size
        if labels == size:
            return size
        main = main_tensor(x)
        sequences = main.ndim > 2 or not main.is_floating_point()
        if labels in main.shape and sequences:
            raise InputError(
                f"the labels have shape {tuple(y.shape)}, but x has {size} examples along "
                f"dimension {self.batch_dim}: where the batch is another dimension of the model, "
                f"declare batch_dim={list(main.shape).index(labels)}"
            )
        return size

    def examples(self, x: Batch) -> Tensor:
        """Return the main tensor of a batch with the examples first."""
        return main_tensor(x).movedim(self.batch_dim, 0)

    def learn(self, names: Sequence[str], probe: Probe) -> None:
        """Tell the hooks where in each tensor the batch is; those of other points are taken out."""
        for name in set(self._hooks) - set(names):
            for hook in self._hooks.pop(name):
                hook.remove()
        for name in names:
            probe.require(name)
            for hook, dims in zip(self._hooks[name], probe.dims(name), strict=True):
                hook.dims = dims

    def remove(self) -> None:
        """Take all hooks out of the model."""
        for hooks in (*self._hooks.values(), self._masks):
            for hook in hooks:
                hook.remove()

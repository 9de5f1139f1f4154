"""Probe a model: shapes and batch dimensions at its mix points, and which points are cuts."""

from collections.abc import Iterable, Sequence

from torch import nn

from layermix.errors import InputError
from layermix.hooks.batch import Batch, checked
from layermix.hooks.bypass import CutTest
from layermix.hooks.channels import Channels, layout
from layermix.hooks.nested import Path
from layermix.hooks.passes import Passes, opened
from layermix.hooks.recording import Recording
from layermix.hooks.sites import device_of

_UNSTEADY = 0.5  # nothing can be measured if a rotation of the examples changes so much


class Probe(Recording):
    """Probe some points of a model in forward passes without side effects; store the results."""

    def __init__(
        self,
        model: nn.Module,
        points: Iterable[str],
        x: Batch,
        batch_dim: int = 0,
        *,
        root: nn.Module | None = None,  # the model that is called, if `model` is a part of it
        measured: Iterable[str] | None = None,  # points to test as cuts; default: all
        together: Iterable[str] | None = None,  # expected cuts, which share passes; default: all
        train: bool = True,  # put a model that is in eval mode into training mode
    ) -> None:
        batch_dim, called = checked(batch_dim), root or model
        names = list(dict.fromkeys(points))
        wanted = names if measured is None else list(measured)
        self._together = wanted if together is None else list(together)
        modes = [train, False] if train and not called.training else [train]  # training may fail
        for mode in modes:
            try:
                with opened(called, x, batch_dim, mode) as passes:
                    super().__init__(passes, model, names, batch_dim)
                    self._measure(passes, model, wanted)
                break
            except InputError:
                if mode is modes[-1]:
                    raise
        self.values.clear()  # they may be large

    def _measure(self, passes: Passes, model: nn.Module, wanted: Sequence[str]) -> None:
        self._shares: dict[str, dict[Path, float]] = {}
        self._mask_shares: dict[str, dict[Path, float]] = {}
        self._unsteady: str | None = None
        meta, few = device_of(passes.model).type == "meta", passes.sizes[0] < 2
        follows = any(dim is not None for dim in self.output_dims().values())
        if not wanted or meta or few or not self.output or not follows:
            return
        passed = dict.fromkeys(name for name, _ in self.values)
        order = [name for name in passed if name in wanted and self._why_not(name) is None]
        test = CutTest(passes, model, self, self._together)
        self._shares = test.shares(order)
        if any(self._shares.values()) and (changed := test.unsteadiness()) > _UNSTEADY:
            self._unsteady = (
                f"the share that bypasses it cannot be measured, because {changed:.0%} of the "
                "output depends on the order of the examples in a batch"
            )
        cuts = [name for name in order if not self._shares[name]]
        if passes.padded is not None and cuts:
            self._measure_masks(passes, model, cuts)

    def _measure_masks(self, passes: Passes, model: nn.Module, cuts: Sequence[str]) -> None:
        """Measure the share of the output that depends on an example's own mask after the mix."""
        assert passes.padded is not None
        passes.inputs = passes.padded
        try:
            self.record(passes)
        except InputError:  # the model fails on such masks
            return
        self._mask_shares = CutTest(passes, model, self, self._together).shares(cuts)

    def channels(self, name: str) -> Channels | None:
        """Return the channel dimension, 1 or -1, at a point; None if the point cannot be mixed."""
        example = self.shape(name)
        if example is None or self._why_not(name):
            return None
        site = self.sites[name]
        return layout(site.module, site.side).channels(example)

    def cut(self, name: str) -> float | None:
        """Return the share of an example that bypasses a point (0 at a cut); None if unknown."""
        shares = self._shares.get(name)
        return None if shares is None else max(shares.values(), default=0.0)

    def leak(self, name: str) -> str | None:
        """Return a text with the share of an example that bypasses a point, or None for a cut."""
        shares = self._shares.get(name)
        if not shares:
            return None
        if self._unsteady:
            return self._unsteady
        outputs = ", ".join(repr(self.labels[path]) for path in shares if path)
        where = f"the outputs {outputs}" if outputs else "the output"
        rest = self._unmixed_inputs() if name == "input" else []
        kept = f": {', '.join(map(repr, rest))} cannot be mixed and stays" if rest else ""
        return (
            f"{max(shares.values()):.2%} of an example bypasses it to {where}{kept}, while its "
            "label would be mixed in full"
        )

    def mask_leak(self, name: str) -> str | None:
        """Return a text with the share of the output that depends on an unmixed mask, or None."""
        if not (shares := self._mask_shares.get(name)):
            return None
        return (
            f"{max(shares.values()):.2%} of the output depends on the attention mask of the first "
            "example alone, which the model uses outside of its modules"
        )

    def obstacle(self, name: str, partial: bool = False) -> str | None:
        """Return why a point cannot be mixed, or None; if `partial`, it need not be a cut."""
        return self._why_not(name) or (None if partial else self.leak(name))

    def require(self, name: str, done: str = "mixed") -> None:
        """Raise an `InputError` with the reason if a point cannot be mixed at all."""
        if why := self._why_not(name):
            raise InputError(
                f"mix point {name!r} cannot be {done}: {why}. "
                "layermix.points(model, x) lists the points that can"
            )

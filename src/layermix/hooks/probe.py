"""Probe a model once: what passes its mix points, where the batch is, and which points are cuts.

The model runs silently on two and on three examples, so that a dimension which only happens to
equal the batch size is told apart from the batch; then with ratio 0 at the points (`cut.py`). See
`passes.py` for the mode in which it runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from layermix.errors import InputError
from layermix.hooks.activation_info import Channels, layout
from layermix.hooks.batch import Batch, checked
from layermix.hooks.cut import CutTest, Unmixed
from layermix.hooks.masks import Role
from layermix.hooks.nested import Path
from layermix.hooks.passes import Passes, opened
from layermix.hooks.recording import Recording
from layermix.hooks.sites import Site, device_of
from layermix.mixing.distributed import agreement

_UNSTEADY = 0.5  # nothing can be measured if rotating the examples changes so much of the output


class Probe:
    """Result of silent forward passes at some points of a model.

    Parameters
    ----------
    model
        The model in which the points are.
    points
        Their names.
    x
        A batch, of which at most three examples are used.
    batch_dim
        Batch dimension of the main input.
    root
        The model that is called, if `model` is a part of it.
    measured
        Points of which it is measured whether they are cuts; all of them by default.
    together
        Points that are expected to be cuts, which are tested in common passes; by default all.
    train
        Put a model that is in eval mode into training mode; otherwise it runs in its own mode.
    """

    def __init__(
        self,
        model: nn.Module,
        points: Iterable[str],
        x: Batch,
        batch_dim: int = 0,
        *,
        root: nn.Module | None = None,
        measured: Iterable[str] | None = None,
        together: Iterable[str] | None = None,
        train: bool = True,
    ) -> None:
        self._batch_dim = checked(batch_dim)
        self._shares: dict[str, dict[Path, float]] = {}
        self._mask_shares: dict[str, dict[Path, float]] = {}
        self._unsteady: str | None = None
        names = list(dict.fromkeys(points))
        called = root or model
        try:
            self._open(model, called, x, names, measured, together, train)
        except InputError:
            if called.training or not train:
                raise  # otherwise it may run in eval mode alone
            self._open(model, called, x, names, measured, together, train=False)

    def _open(
        self,
        model: nn.Module,
        called: nn.Module,
        x: Batch,
        names: Sequence[str],
        measured: Iterable[str] | None,
        together: Iterable[str] | None,
        train: bool,
    ) -> None:
        with opened(called, x, self._batch_dim, train) as passes:
            self._seen = Recording(passes, model, names, self._batch_dim)
            wanted = names if measured is None else list(measured)
            if wanted and self._sees_numbers(passes):
                common = wanted if together is None else list(together)
                self._measure(passes, model, wanted, common)

    def _sees_numbers(self, passes: Passes) -> bool:
        """Return True if the output has numbers of several examples to compare."""
        device = device_of(passes.model)
        return device.type != "meta" and passes.sizes[0] > 1 and bool(self._seen.output)

    def _measure(
        self, passes: Passes, model: nn.Module, wanted: Sequence[str], together: Sequence[str]
    ) -> None:
        """Measure how much of an example goes round the points that can be mixed."""
        passed = [name for name in dict.fromkeys(self._seen.order) if name in wanted]
        order = [name for name in passed if self._seen.obstacle(name) is None]
        test = self._test(passes, model, order, together)
        if test is None:
            return
        self._shares = test.shares(order)
        if any(self._shares.values()):
            unsteadiness = test.unsteadiness()
            if unsteadiness > _UNSTEADY:
                self._unsteady = (
                    f"it cannot be measured what goes round it: {unsteadiness:.0%} of the output "
                    "changes when the examples of a batch change places"
                )
        cuts = [name for name in order if not self._shares[name]]
        if passes.padded is not None and cuts:
            self._measure_masks(passes, model, cuts, together)

    def _measure_masks(
        self, passes: Passes, model: nn.Module, cuts: Sequence[str], together: Sequence[str]
    ) -> None:
        """Measure at which points each example keeps a mask of its own behind the mix."""
        assert passes.padded is not None
        passes.inputs = passes.padded
        try:
            with self._seen.kept():
                self._seen.record(passes)
        except InputError:  # the model does not take such masks
            return
        test = self._test(passes, model, cuts, together)
        self._mask_shares = {} if test is None else test.shares(cuts)

    def _test(
        self, passes: Passes, model: nn.Module, order: Sequence[str], together: Sequence[str]
    ) -> CutTest | None:
        """Return the test of some points; None if the output does not follow the batch."""
        seen, output_dims = self._seen, self._seen.output_dims()
        if all(dim is None for dim in output_dims.values()):
            return None
        values = {name: [calls[0] for calls in seen.values[name]] for name in order}
        unmixed = Unmixed(
            output=seen.output,
            output_dims=output_dims,
            dims={name: seen.dims(name) for name in order},
            values={name: found for name, found in values.items() if name in together},
            roles=seen.roles,
            shared_masks=seen.shared_masks,
            count=passes.sizes[0],
        )

        def run(turns: int | None) -> Any:
            return passes.run(passes.nudged() if turns is None else passes.rotated(turns))

        device, agree = device_of(passes.model), agreement(passes.model)
        return CutTest(model, run, self.sites, unmixed, device, agree)

    @property
    def sites(self) -> Mapping[str, Site]:
        """Where each point is; ``"final"`` as found by the flow of data."""
        return self._seen.sites

    @property
    def roles(self) -> Mapping[Path, Role | None]:
        """Masks and lengths among the inputs."""
        return self._seen.roles

    @property
    def shared_masks(self) -> Mapping[nn.Module, frozenset[str]]:
        """Names of masks of modules behind a point that are the same for all examples."""
        return self._seen.shared_masks

    @property
    def output(self) -> tuple[int, ...] | None:
        """The shape of one example of the model's output; None where it has no tensor."""
        return self._seen.output_shape

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of one example's activation at a point, if it was passed once."""
        return self._seen.shape(name)

    def batch_dim(self, name: str) -> int:
        """Return the batch dimension of the main tensor of a point that was passed."""
        return self._seen.batch_dim(name)

    def dims(self, name: str) -> list[Mapping[Path, int | None]]:
        """Return for each module of a point the batch dimension of each tensor."""
        return self._seen.dims(name)

    def channels(self, name: str) -> Channels | None:
        """Return the dimension of a point's channels, 1 or -1; None where it cannot be mixed."""
        example = self.shape(name)
        if example is None or self._seen.obstacle(name):
            return None
        site = self.sites[name]
        return layout(site.module, site.side).channels(example)

    def cut(self, name: str) -> float | None:
        """Return the share of an example that goes round a point; None if it is not known."""
        shares = self._shares.get(name)
        return None if shares is None else max(shares.values(), default=0.0)

    def leak(self, name: str) -> str | None:
        """Return how much of an example goes round a point and where to; None for a cut."""
        shares = self._shares.get(name)
        if not shares:
            return None
        if self._unsteady:
            return self._unsteady
        outputs = ", ".join(repr(self._seen.labels[path]) for path in shares if path)
        where = f"the outputs {outputs}" if outputs else "the output"
        beside = self._seen.companions() if name == "input" else []
        kept = f": {', '.join(map(repr, beside))} cannot be mixed and stays" if beside else ""
        return (
            f"{max(shares.values()):.2%} of an example goes round it to {where}{kept}, while its "
            "label would be mixed in full"
        )

    def mask_leak(self, name: str) -> str | None:
        """Return how much follows from masks that cannot be united; None if nothing does."""
        if not (shares := self._mask_shares.get(name)):
            return None
        return (
            f"{max(shares.values()):.2%} of the output follows from the attention mask of the "
            "first example alone, which the model uses outside of its modules"
        )

    def obstacle(self, name: str, partial: bool = False) -> str | None:
        """Return why a point cannot be mixed, or None if it can.

        If `partial`, a point need not be a cut of the network.
        """
        return self._seen.obstacle(name) or (None if partial else self.leak(name))

    def obstacles(self) -> dict[str, str]:
        """Return the points that cannot be mixed, and why."""
        found = {name: self.obstacle(name) for name in [*self.sites, *self._seen.missing]}
        return {name: why for name, why in found.items() if why}

    def require(self, name: str, done: str = "mixed") -> None:
        """Raise an `InputError` with the reason if a point cannot be mixed at all."""
        if why := self._seen.obstacle(name):
            raise InputError(
                f"mix point {name!r} cannot be {done}: {why}. "
                "layermix.points(model, x) lists the points that can"
            )

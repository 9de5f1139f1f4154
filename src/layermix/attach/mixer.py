"""The mixer: mixup at any layer of a model, in two lines.

mixup (Zhang et al., 2018) at the input, Manifold Mixup (Verma et al., 2019) in hidden layers, and
mixing at the final layer are the same object with another `at`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from layermix.attach.hooks import Switch, install
from layermix.attach.mixpoint import MixPoint, names_of
from layermix.attach.observe import Batch, batch_size, call
from layermix.attach.probe import Probe
from layermix.attach.site import as_module, find, unwrap
from layermix.errors import RunError, unknown
from layermix.mixing import MixedTarget, Per, Plan, Planner


class Mixer:
    """Mix training examples inside a model's own forward pass.

    Build it before the first call of a compiled model: hooks that come later are ignored by
    torch. With activation checkpointing, run the backward pass before any other forward of the
    model in training mode, and compile the whole model rather than a checkpointed block of it.

    Parameters
    ----------
    model
        Any model; `torch.compile` and data parallel wrappers are seen through.
    at
        A mix point, or several of which each step takes one: ``"input"``, ``"final"`` (the input
        of the last linear classifier), ``"logits"``, or a module's path (its output); also rows
        of `points`, and that whole table.
    alpha
        Ratios come from Beta(alpha, alpha). Left out: 1 at the input, 2 elsewhere.
    ratio
        Instead of alpha: a fixed ratio in [0, 1], or ``"uniform"``.
    weights
        Relative probability of each point of a list; equal when left out.
    per
        Draw a ratio per ``"batch"``, per ``"sample"`` or per ``"epoch"``; for the last call
        `next_epoch` at each epoch's start.
    blend
        How two activations become one: the name of a blend.
    seed
        Seed of the mixer's own random streams, or a numpy generator to take one from. Global
        generators are neither read nor advanced.
    rank
        Rank in data parallel training; that of `torch.distributed` when left out.

    Raises
    ------
    InputError
        For an unknown or repeated mix point, an unknown blend, alpha <= 0, a ratio outside
        [0, 1] or weights that do not fit.

    Examples
    --------
    >>> import torch, layermix as lm
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> mixer = lm.Mixer(model, at="final")
    >>> x, y = torch.randn(6, 4), torch.randint(3, (6,))
    >>> output, target = mixer(x, y)
    >>> target.loss(output).backward()
    """

    def __init__(
        self,
        model: nn.Module | Callable[..., Any],
        at: str | MixPoint | Iterable[str | MixPoint] = "final",
        alpha: float | None = None,
        *,
        ratio: float | Literal["uniform"] | None = None,
        weights: Sequence[float] | None = None,
        per: Per = "batch",
        blend: str = "linear",
        seed: int | np.random.Generator = 0,
        rank: int | None = None,
    ) -> None:
        self.model = as_module(model)
        names = names_of(at)
        self._planner = Planner(
            names,
            weights=weights,
            alpha=alpha,
            ratio=ratio,
            per=per,
            blend=blend,
            seed=seed,
            rank=_rank() if rank is None else rank,
        )
        self._sites = {name: find(unwrap(self.model), name) for name in names}
        self._switch = Switch()
        self._handles = [install(site, self._switch) for site in self._sites.values()]
        self._probed = False

    @property
    def points(self) -> tuple[str, ...]:
        """The mix points, one of which each plan takes."""
        return self._planner.points

    def __call__(self, x: Batch, y: Tensor) -> tuple[Any, MixedTarget]:
        """Run one forward pass with a freshly drawn plan; in eval mode nothing is mixed.

        Parameters
        ----------
        x
            Batch of inputs, shape (B, ...), or a mapping of named inputs for ``model(**x)``; not
            changed.
        y
            Labels, shape (B, ...).

        Returns
        -------
        output, target
            What the model returned, in its own type, and the labels under the same plan.
        """
        if not self.model.training:
            return call(self.model, x), MixedTarget.clean(y)
        if not self._probed:
            self.check(x)
        plan = self.draw(batch_size(x))
        target = plan.target(y)
        with self.apply(plan):
            output = call(self.model, x)
        return output, target

    def draw(self, batch_size: int) -> Plan:
        """Draw the plan of a step for `batch_size` examples, on the model's device."""
        parameter = next(self.model.parameters(), None)
        return self._planner.draw(batch_size, "cpu" if parameter is None else parameter.device)

    @contextmanager
    def apply(self, plan: Plan) -> Iterator[None]:
        """Mix at `plan.point`, and only there, in the forward pass inside the ``with`` block.

        Raises
        ------
        InputError
            When the mixer was not built for `plan.point`.
        RunError
            When the forward pass did not come by the mix point, so that nothing was mixed.
        """
        if plan.point not in self._sites:
            raise unknown("mix point of this mixer", plan.point, self.points)
        self._switch.plan = self._switch.replay = plan
        self._switch.fired = False
        try:
            yield
        finally:
            self._switch.plan = None
        if not self._switch.fired:
            raise RunError(
                f"nothing was mixed: no forward pass came by mix point {plan.point!r}. "
                "Call the model inside the block, and build the mixer before the first call "
                "of a compiled model"
            )

    def check(self, x: Batch) -> None:
        """Look, in two silent forward passes, whether every point can be mixed.

        The first mixed step does this by itself. Call it in a loop that uses `draw` and `apply`.

        Parameters
        ----------
        x
            A batch as in a call of the mixer; at most three examples of it are used.

        Raises
        ------
        InputError
            For a module that a forward never calls or calls several times, integers such as token
            ids, an output without batch first or without a tensor, or a classifier head that is
            not the model's last.
        """
        probe = Probe(unwrap(self.model), list(self._sites.values()), x)
        for name in self._sites:
            probe.require(name)
        self._probed = True

    def next_epoch(self) -> None:
        """Draw the ratio of a new epoch, for ``per="epoch"``."""
        self._planner.next_epoch()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to draw what an uninterrupted one would have drawn."""
        return self._planner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the draws of the mixer that gave `state`."""
        self._planner.load_state_dict(state)

    def remove(self) -> None:
        """Take the mixer's hooks out of the model."""
        for handle in self._handles:
            handle.remove()


def _rank() -> int:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank()
    return 0

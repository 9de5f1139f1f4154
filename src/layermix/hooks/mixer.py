"""The mixer: mixup at any layer of a model, in two lines.

mixup (Zhang et al., 2018) at the input, Manifold Mixup (Verma et al., 2019) in hidden layers, and
mixing at the final layer are the same object with another `at`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor, nn

from layermix.errors import InputError, RunError
from layermix.hooks.attached import Attached
from layermix.hooks.batch import Batch, call
from layermix.hooks.candidates import group_of, resolve
from layermix.hooks.manager import HookManager
from layermix.hooks.mixpoint import MixPoint
from layermix.hooks.site import as_module, first_parameter, unwrap
from layermix.mixing import (
    Blend,
    Pairing,
    Per,
    Plan,
    Planner,
    Remix,
    Schedule,
    Target,
    Targets,
)
from layermix.mixing.blends import find_blend
from layermix.mixing.choice import Weights
from layermix.mixing.targets.several import clean


class Mixer(Attached):
    """Mix training examples inside a model's own forward pass.

    Build it before the first call of a compiled model: hooks that come later are ignored by
    torch. With activation checkpointing, compile the whole model rather than a checkpointed block
    of it. The hooks are removed when the mixer is deleted, at the end of a ``with`` block, or by
    `remove`.

    Parameters
    ----------
    model
        Any model; `torch.compile` and data parallel wrappers are seen through.
    at
        A mix point, or several of which each step takes one: ``"input"``, ``"final"`` (the input
        of the classifier's last layer), ``"logits"``, or a module's path (its output); also rows
        of `points`, and that whole table. ``"hidden"`` stands for each repeated block, ``"last"``
        for the last of them, ``"random"`` for the input and each block, unless a module has that
        name. ``"auto"`` stands for the input, each block and the final layer, even where a module
        has that name. All are equally likely until `reweigh` is called, for which
        ``layermix.geometry.auto_weights`` makes weights of a profile. The points of these words
        that cannot be mixed, or that something of an example goes round, are dropped at the first
        step.
    alpha
        Ratios come from Beta(alpha, alpha); a number, or a schedule. Left out: 1 at the input, 2
        elsewhere.
    ratio
        Instead of alpha: a fixed ratio in [0, 1], or ``"uniform"``.
    weights
        Relative probability of each point, or a schedule of them; equal until `reweigh` is called.
    per
        Draw a ratio per ``"batch"``, per ``"sample"`` or per ``"epoch"``; for the last call
        `next_epoch` at each epoch's start.
    blend
        How two activations become one: ``"linear"``, ``"cut"`` or another name in
        `layermix.mixing.BLENDS`, or one with settings of its own such as ``Patches(soft=False)``.
    partner
        Who is mixed with whom: ``"permutation"``, ``"other_class"`` or another name in
        `layermix.mixing.PARTNERS`, or one such as ``Nearest(k=4)``.
    probability
        That a step is mixed at all; a number, or a schedule: warm-up is a `Ramp`, switching off in
        the last part of training a `Window`.
    remix
        How the weight of labels depends on how frequent their classes are.
    across
        Take partners from all processes of data parallel training, whose batches must be as large.
    seed
        Seed of the mixer's own random streams, or a numpy generator to take one from. Global
        generators are neither read nor advanced.
    rank
        Rank in data parallel training; that of `torch.distributed` when left out.
    batch_dim
        Dimension of the batch, 1 for models whose batch is second (`nn.LSTM`, `nn.Transformer`).
    one_graph
        Mix at every point at every step and keep what the plan's point mixed, so that a compiled
        model has one graph for all points and not one for each. It costs a mix for each point, at
        all of which the blend must be possible.
    allow_partial
        Mix at points that are no cuts of the network as well: something of an example goes round
        them (a skip connection, a second head, another input), while its label is mixed in full.
    always
        Mix in eval mode too, for training with norms that are frozen by ``model.eval()``.

    Raises
    ------
    InputError
        For an unknown or repeated mix point, an unknown blend, alpha <= 0, a ratio outside
        [0, 1], weights that do not fit or come with ``"auto"``, or a blend that returns more
        examples than it gets with `one_graph`.

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
        alpha: float | Schedule | None = None,
        *,
        ratio: float | Literal["uniform"] | None = None,
        weights: Weights = None,
        per: Per = "batch",
        blend: str | Blend = "linear",
        partner: str | Pairing = "permutation",
        probability: float | Schedule = 1.0,
        remix: Remix | None = None,
        across: bool = False,
        seed: int | np.random.Generator = 0,
        rank: int | None = None,
        batch_dim: int = 0,
        one_graph: bool = False,
        allow_partial: bool = False,
        always: bool = False,
    ) -> None:
        self.model = as_module(model)
        names = resolve(at, unwrap(self.model), weights)
        self._group = group_of(at, unwrap(self.model))
        self._planner = Planner(
            names,
            weights=weights,
            alpha=alpha,
            ratio=ratio,
            per=per,
            blend=blend,
            partner=partner,
            probability=probability,
            remix=remix,
            seed=seed,
            rank=rank,
            ranks=None if across else 1,
        )
        how = find_blend(blend)
        if one_graph and how.grows:
            raise InputError(
                f"the blend {blend!r} returns more examples than it gets, so that what follows "
                "has another shape after each mix point: leave one_graph out"
            )
        self._allow_partial, self._always = allow_partial, always
        self._hooking = {"batch_dim": batch_dim, "one_graph": one_graph, "late": how.commutes}
        self._attached: HookManager | None = None
        self._probed = None
        self._warned: set[str] = set()
        self._attach()

    def __repr__(self) -> str:
        planner, model = self._planner, type(unwrap(self.model)).__name__
        at = self._group or (self.points[0] if len(self.points) == 1 else list(self.points))
        return f"Mixer({model}, at={at!r}, per={planner.per!r}, blend={planner.blend!r})"

    @overload
    def __call__(
        self, x: Batch, y: Tensor, model: nn.Module | None = None
    ) -> tuple[Any, Target]: ...
    @overload
    def __call__(
        self, x: Batch, y: Mapping[str, Tensor], model: nn.Module | None = None
    ) -> tuple[Any, Targets]: ...
    def __call__(
        self, x: Batch, y: Tensor | Mapping[str, Tensor], model: nn.Module | None = None
    ) -> tuple[Any, Target | Targets]:
        """Run one forward pass with a freshly drawn plan; in eval mode nothing is mixed.

        Parameters
        ----------
        x
            Batch of inputs, shape (B, ...), a tuple of several for ``model(*x)``, or a mapping of
            named ones for ``model(**x)``; not changed.
        y
            Labels, shape (B, ...), or a mapping of several such tensors.
        model
            What to call instead of the mixer's model: the same in a wrapper that came later, such
            as the one that a trainer hands over.

        Returns
        -------
        output, target
            What the model returned, in its own type, and the labels under the same plan.
        """
        model = self.model if model is None else model
        if not (model.training or self._always):
            self._warn_of_eval()
            return call(model, x), clean(y)
        size = self._attach().batch_size(x, y)
        if size and not self._is_probed_with(model, x):  # no plan is drawn for an empty batch
            self._check(x, model, called=True)
        plan = self.draw(size, labels=y, inputs=x)
        plan.check_labels(y)
        with self.apply(plan):
            output = call(model, x)
        return output, plan.target(y)

    def draw(
        self,
        batch_size: int,
        *,
        labels: Tensor | Mapping[str, Tensor] | None = None,
        inputs: Batch | None = None,
    ) -> Plan:
        """Draw the plan of a step, on the model's device.

        Parameters
        ----------
        batch_size
            The number of examples B.
        labels, inputs
            The batch, for partners that are chosen by them; of several inputs the first counts.
        """
        seen = None
        if inputs is not None and self._planner.pairing.needs == "inputs":
            seen = self._attach().examples(inputs)
        parameter = first_parameter(self.model)
        device = torch.device("cpu") if parameter is None else parameter.device
        dtype = None if parameter is None or parameter.dtype != torch.float64 else torch.float64
        return self._planner.draw(batch_size, device, labels=labels, inputs=seen, dtype=dtype)

    @contextmanager
    def apply(self, plan: Plan) -> Iterator[None]:
        """Mix at `plan.point`, and only there, in the forward pass inside the ``with`` block.

        In eval mode too. The first forward pass is preceded by silent ones that probe the points,
        as `check` does. Only forward passes of this thread are mixed.

        Raises
        ------
        InputError
            When the mixer was not built for `plan.point`, or for what `check` refuses.
        RunError
            If the forward pass did not reach the mix point, so that nothing was mixed, or the
            mixer's hooks were removed.
        """
        if plan.point not in self.points:
            raise self._unknown_point(plan.point)
        manager = self._attach()
        if manager.is_removed(plan.point):
            raise RunError("the hooks of this mixer were removed from the model: build a new one")
        probe, probed = None, self._is_probed()
        if not probed or not (self._probed and self._probed.called):
            probe = partial(self._check_before, plan.point)
        with manager.mixing(plan, probe, probed):
            yield

    def check(self, x: Batch) -> None:
        """Probe in silent forward passes whether every point can be mixed, and wholly.

        The first mixed step does this by itself. The points of ``"auto"``, ``"random"``,
        ``"hidden"`` and ``"last"`` that cannot be mixed are dropped. The blend is tried at each
        point, on a tensor of its shape without numbers.

        Parameters
        ----------
        x
            A batch as in a call of the mixer; at most three examples of it are used.

        Raises
        ------
        InputError
            For a module that a forward never calls or calls several times, integers such as token
            ids, an output without batch first or without a tensor, an activation that the blend
            cannot mix, and without `allow_partial` for a point that is no cut of the network: mixed
            with ratio 0 there, the output is not that of the partners. For the points of a word
            only where none is left.

        Warns
        -----
        UserWarning
            Once, with `allow_partial`, for points that are no cuts.
        """
        self._check(x, self.model, called=False, train=not self._always)

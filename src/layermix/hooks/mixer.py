"""The mixer: mixup at any layer of a model, in two lines."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from torch import nn

from layermix.errors import InputError
from layermix.hooks.mixer_samplers import At, samplers_of
from layermix.hooks.mixer_step import MixerStep
from layermix.hooks.sites import as_module, unwrap
from layermix.mixing import Blend, Method, Pairing, Per, PlanSampler, Prob, Remix, Schedule
from layermix.mixing.point_sampler import Weights


class Mixer(MixerStep):
    """Mix training examples inside a model's own forward pass.

    mixup (Zhang et al., 2018) is ``at="input"``, Manifold Mixup (Verma et al., 2019) is
    ``at="random"``. Build the mixer before the first call of a compiled model: torch ignores hooks
    that come later. With activation checkpointing, compile the whole model, not a block. The hooks
    are removed when the mixer is deleted, at the end of a ``with`` block, or by `remove`.

    Parameters
    ----------
    model
        Any model; `torch.compile` and data parallel wrappers are unwrapped.
    at
        A mix point, or several, one of which is mixed in each step: ``"input"``, ``"final"`` (the
        input of the classifier's last layer), ``"logits"``, a module's path (its output), rows of
        `points`, or the whole table. ``"hidden"`` stands for each repeated block, ``"last"`` for
        the last of them, ``"random"`` for the input and each block, unless a module has that name;
        ``"auto"`` for the input, each block and the final layer. Points of words
        that cannot be mixed, or are not cuts of the network, are dropped at the first step.
        Default: ``"final"``, or the mix point of the method.
    alpha
        Ratios come from Beta(alpha, alpha); a number, or a schedule. Default: 1 at the input, 2
        elsewhere, or that of the method.
    method
        A method of the literature (`methods`), such as ``"cutmix"`` or ``"multimix@final:k=4"``, or
        several, one of which is used in each step. The arguments for its parts (at, alpha, ratio,
        weights, per, blend, partner, remix) replace those of the method.
    prob
        Probability that a step is mixed: a number or a schedule, which several methods share
        equally; or one number for each method, with a sum of at most 1.
    seed
        Seed of the mixer's own random generators; global ones are never advanced. Default:
        `torch.initial_seed` of rank 0 when the mixer is built, which ``torch.manual_seed`` sets.
    ratio
        Instead of alpha: a fixed ratio in [0, 1], or ``"uniform"``.
    weights
        Relative probability of each point, or a schedule of them; equal until `reweigh` is called.
    per
        One ratio per ``"batch"`` (default), per ``"sample"`` or per ``"epoch"`` (see `set_epoch`).
    blend, partner
        Names in `layermix.mixing.BLENDS` (default: ``"linear"``) and `PARTNERS` (default:
        ``"permutation"``), or objects with their settings, such as ``Patches(soft=False)``.
    remix
        How the weight of labels depends on the frequency of their classes.
    batch_dim
        Dimension of the batch, 1 for models whose batch is second (`nn.LSTM`, `nn.Transformer`).
    always
        Mix in eval mode too, for training with norms that are frozen by ``model.eval()``.
    allow_partial
        Also mix at points that are not cuts of the network: part of an example bypasses them
        (a skip connection, a second head, another input), while its label is mixed in full.
    one_graph
        Mix at every point in every step and keep one result, so that a compiled model has one graph
        for all points. It costs a mix for each point.
    cross_rank, rank
        Take partners from all processes of data parallel training, whose batches must have one
        size; and the rank of this one, if it is not that of `torch.distributed`.

    Raises
    ------
    InputError
        For an unknown mix point, method, blend or partner, or a setting that is not allowed.

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
        at: At | None = None,
        alpha: float | Schedule | None = None,
        *,
        method: str | Method | Sequence[str | Method] | None = None,
        prob: Prob | None = None,
        seed: int | None = None,
        ratio: float | Literal["uniform"] | None = None,  # up to remix: parts of a method
        weights: Weights = None,
        per: Per | None = None,
        blend: str | Blend | None = None,
        partner: str | Pairing | None = None,
        remix: Remix | None = None,
        batch_dim: int = 0,  # up to one_graph: the model
        always: bool = False,
        allow_partial: bool = False,
        one_graph: bool = False,
        cross_rank: bool = False,  # data parallel training
        rank: int | None = None,
    ) -> None:
        self.model, inner = as_module(model), unwrap(as_module(model))
        parts = {"alpha": alpha, "ratio": ratio, "per": per, "blend": blend, "partner": partner}
        others = {"weights": weights, "remix": remix}
        samplers, self._words, default = samplers_of(method, at, inner, parts, others)
        self._sampler = PlanSampler(
            samplers,
            prob=default if prob is None else prob,
            seed=seed,
            rank=rank,
            cross_rank=cross_rank,
        )
        blends = [sampler.blend for sampler in samplers]
        if one_graph and any(one.changes_batch_size for one in blends):
            raise InputError(
                f"one of the blends {blends} returns more examples than it gets, so that later "
                "layers have another shape for each mix point: leave one_graph out"
            )
        late = any(one.linear_equivariant for one in blends)
        self._hook_settings = {"batch_dim": batch_dim, "one_graph": one_graph, "late": late}
        self._needs_inputs = any(sampler.pairing.needs == "inputs" for sampler in samplers)
        self._allow_partial, self._always = allow_partial, always
        self._hooks = self._probed = self.last = None
        self._warned: set[str] = set()
        self._attach()

    @property
    def points(self) -> tuple[str, ...]:
        """The mix points, one of which each plan has."""
        return self._sampler.points

    @property
    def weights(self) -> dict[str, float]:
        """The present probability of each point in a mixed step; they sum to 1."""
        shares = self._sampler.shares
        total = sum(shares) or 1.0
        found = dict.fromkeys(self.points, 0.0)
        for method, share in zip(self._sampler.methods, shares, strict=True):
            for point, weight in method.points.weights.items():
                found[point] += weight * (share / total)
        return found

    @property
    def weight_history(self) -> list[dict[str, float]]:
        """The initial weights of the first method, then those of every `reweigh`."""
        return [dict(weights) for weights in self._sampler.methods[0].points.history]

    @property
    def dropped(self) -> dict[str, str]:
        """The points of a word such as ``at="auto"`` that cannot be mixed, and the reason."""
        return self._sampler.dropped

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Set the probabilities of the points from the next draw on; no other draw changes.

        Parameters
        ----------
        weights
            Relative probabilities by name of the point, finite and >= 0; missing points get 0. In
            data parallel training all ranks must set the same.

        Raises
        ------
        InputError
            For an unknown point, an invalid weight, nothing but zeros, or several methods.
        """
        self._sampler.reweigh(weights)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, for schedules by epoch and ``per="epoch"``, before its first step."""
        self._sampler.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the state with which a resumed run draws as an uninterrupted one."""
        return self._sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the draws of the mixer that returned `state`."""
        self._sampler.load_state_dict(state)

"""The mixer: mixup at any layer of a model, in two lines."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from torch import nn

from layermix.errors import InputError, unknown
from layermix.hooks.clean_norm_stats import CleanNormStats
from layermix.hooks.mixer_samplers import At, samplers_of
from layermix.hooks.mixer_step import MixerStep
from layermix.hooks.sites import as_module, unwrap
from layermix.mixing import Blend, Method, Pairing, Per, PlanSampler, Prob, Remix, Schedule
from layermix.mixing.point_sampler import Weights


class Mixer(MixerStep):
    """Mix training examples inside a model's own forward pass.

    mixup (Zhang et al., 2018) is ``at="input"``, Manifold Mixup (Verma et al., 2019) is
    ``at="random"``. Build the mixer before the first call of a compiled model: torch ignores hooks
    that are added later. With activation checkpointing, compile the whole model, not a block. The
    hooks are removed by `remove`, at the end of a ``with`` block, or when the mixer is deleted.

    Parameters
    ----------
    model
        Any model; `torch.compile` and data parallel wrappers are unwrapped.
    at
        A mix point, or several, one of which is mixed in each step: ``"input"``, ``"final"`` (the
        input of the classifier's last layer), ``"logits"``, a module path (its output), rows of
        `points`, or the whole table. Groups of points are ``"hidden"`` (each repeated block),
        ``"last"`` (the last block), ``"random"`` (the input and each block), unless a module has
        that name, and ``"auto"`` (the input, each block and the final layer). Points of a group
        that cannot be mixed, or are not cuts of the network, are dropped at the first step.
        Default: ``"final"``, or the mix point of the method.
    alpha
        Parameter of Beta(alpha, alpha), the distribution of ratios: a number or a schedule.
        Default: the method's alpha, or 1 at the input and 2 elsewhere.
    method
        A method of the literature (`methods`), such as ``"cutmix"`` or ``"multimix@final:k=4"``, or
        several, one of which is used in each step. Other arguments (at, alpha, ratio, weights, per,
        blend, partner, remix) replace the settings of the method.
    prob
        Probability that a step is mixed: a number or a schedule, shared equally by several
        methods; or one number for each method, with a sum of at most 1.
    seed
        Seed of the mixer's own random generators; it does not use global generators. Default:
        `torch.initial_seed` of rank 0 when the mixer is built, which ``torch.manual_seed`` sets.
    ratio
        A fixed ratio in [0, 1], or ``"uniform"``; not together with alpha.
    weights
        Relative probability of each point, or a schedule of them. Default: equal.
    per
        One ratio per ``"batch"`` (default), per ``"sample"`` or per ``"epoch"`` (see `set_epoch`).
    blend, partner
        Names in `layermix.mixing.BLENDS` (default: ``"linear"``) and `PARTNERS` (default:
        ``"permutation"``), or objects with their settings, such as ``Patches(soft=False)``.
    remix
        Changes the label weights by class frequency; see `layermix.mixing.Remix`.
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
    norm_stats, norm_stats_every
        If ``"clean"``, a mixed step of a call ``mixer(x, y)`` does not change the running
        statistics of batch norms. Every `norm_stats_every` steps they are updated in another
        forward pass, of the unmixed batch and without gradients. Default: ``"mixed"``, no such
        pass; `update_norm_stats` then computes the statistics after training.
    cross_rank, rank
        Choose partners from all processes of data parallel training, which must have equal batch
        sizes; and the rank of this process, by default that of `torch.distributed`.

    Raises
    ------
    InputError
        If a mix point, method, blend or partner is unknown, or a setting is invalid.

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
        batch_dim: int = 0,  # up to norm_stats_every: the model
        always: bool = False,
        allow_partial: bool = False,
        one_graph: bool = False,
        norm_stats: Literal["mixed", "clean"] = "mixed",
        norm_stats_every: int = 1,
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
                f"one of the blends {blends} changes the batch size, so that the shapes of later "
                "layers depend on the mix point: leave out one_graph"
            )
        late = any(one.linear_equivariant for one in blends)
        self._hook_settings = {"batch_dim": batch_dim, "one_graph": one_graph, "late": late}
        self._needs_inputs = any(sampler.pairing.needs == "inputs" for sampler in samplers)
        self._allow_partial, self._always = allow_partial, always
        if norm_stats not in ("mixed", "clean"):
            raise unknown("norm_stats", norm_stats, ["mixed", "clean"])
        clean = norm_stats == "clean"
        if norm_stats_every != 1 and not clean:
            raise InputError(
                f"norm_stats_every is {norm_stats_every}, which needs norm_stats='clean': add it, "
                "or leave out norm_stats_every"
            )
        self._clean_norms = CleanNormStats(inner, norm_stats_every) if clean else None
        self._hooks = self._probed = self.last = None
        self._warned: set[str] = set()
        self._attach()

    @property
    def points(self) -> tuple[str, ...]:
        """The names of the mix points; each mixed step uses one of them."""
        return self._sampler.points

    @property
    def weights(self) -> dict[str, float]:
        """The current probabilities of the mix points in a mixed step; they sum to 1."""
        shares = self._sampler.shares
        total = sum(shares) or 1.0
        found = dict.fromkeys(self.points, 0.0)
        for method, share in zip(self._sampler.methods, shares, strict=True):
            for point, weight in method.points.weights.items():
                found[point] += weight * (share / total)
        return found

    @property
    def weight_history(self) -> list[dict[str, float]]:
        """Weights of the mix points of the first method: at the start, and after each `reweigh`."""
        return [dict(weights) for weights in self._sampler.methods[0].points.history]

    @property
    def dropped(self) -> dict[str, str]:
        """Points of a group (such as ``at="auto"``) that are not used, each with the reason."""
        return self._sampler.dropped

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Set the probabilities with which the mix points are drawn from the next step on.

        Parameters
        ----------
        weights
            Relative probabilities by point name, finite and >= 0; missing points get 0. In data
            parallel training all ranks must set the same weights.

        Raises
        ------
        InputError
            If a point is unknown, a weight is invalid, all are 0, or there are several methods.
        """
        self._sampler.reweigh(weights)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; call it before each epoch for schedules by epoch or ``per="epoch"``."""
        self._sampler.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the state. A run resumed from it draws the same plans as without interruption."""
        return self._sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state from `state_dict`; the next plans are those that would have followed it."""
        self._sampler.load_state_dict(state)

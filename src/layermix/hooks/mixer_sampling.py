"""The part of a mixer that concerns its draws: points, weights, epochs and saved state."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from layermix.errors import InputError
from layermix.hooks.candidates import group_of, resolve
from layermix.hooks.points import MixPoint
from layermix.mixing import Method, MethodSampler, PlanSampler, find_method

At = str | MixPoint | Iterable[str | MixPoint]


class MixerSampling:
    """The settings of a mixer's sampler that may change during training."""

    _sampler: PlanSampler

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
        """Set the probabilities of the points from the next draw on.

        No other draw changes. In data parallel training all ranks must set the same weights.

        Parameters
        ----------
        weights
            Relative probabilities by name of the point, finite and >= 0; missing points get 0.

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
        """Return what a resumed run needs to draw what an uninterrupted one would have drawn."""
        return self._sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the draws of the mixer that returned `state`."""
        self._sampler.load_state_dict(state)


def samplers_of(
    method: str | Method | Sequence[str | Method] | None,
    at: At | None,
    model: nn.Module,
    parts: Mapping[str, Any],
    others: Mapping[str, Any],
) -> tuple[list[MethodSampler], list[str | None], float | list[float]]:
    """Return the samplers of one method or several.

    Parameters
    ----------
    method, at
        As for a `Mixer`.
    model
        The unwrapped model.
    parts
        Parts that replace those of the methods, None for those of the methods.
    others
        Further settings of all samplers.

    Returns
    -------
    samplers, groups, prob
        For each method its sampler and the word that stands for its points, if any; and the
        probabilities of the methods.
    """
    several = [method] if isinstance(method, str | Method) or method is None else list(method)
    if not several:
        raise InputError("method is an empty sequence: name at least one, or leave it out")
    methods = [Method("final") if one is None else find_method(one) for one in several]
    given = {name: value for name, value in parts.items() if value is not None}
    samplers, groups, probs = [], [], []
    for one in methods:
        point = one.at if at is None else at
        of_method = {"blend": one.blend, "partner": one.partner, **one.options}
        probs.append(of_method.pop("prob", 1.0) / len(methods))
        if given.keys() & {"alpha", "ratio"}:
            of_method = {n: v for n, v in of_method.items() if n not in ("alpha", "ratio")}
        points = resolve(point, model, others["weights"])
        samplers.append(MethodSampler(points, **{**of_method, **given, **others}))
        groups.append(group_of(point, model))
    return samplers, groups, probs if len(methods) > 1 else probs[0]

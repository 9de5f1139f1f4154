"""Settings of a planner that go together, or do not: what would be ignored is told.

A blend of the whole batch has no ratio and no partner, so that what says how they are drawn is
refused. Settings by epoch need the calls of `next_epoch` that tell a planner when one begins.
"""

from collections.abc import Mapping
from typing import Any

from layermix.errors import InputError, brief, warn
from layermix.mixing.blends import Blend, Many
from layermix.mixing.checks import is_whole
from layermix.mixing.partners import Permutation
from layermix.mixing.schedule import Clock, Schedule, number_of
from layermix.mixing.targets import Remix

PATIENCE = 10  # steps before an epoch must have begun: fewer may be a few plans drawn for a look

# What a planner has where nothing is said.
DEFAULTS: dict[str, Any] = {
    "alpha": None,
    "ratio": None,
    "per": "batch",
    "partner": Permutation(),
    "remix": None,
    "ranks": 1,
}


def refuse_ignored(blend: Blend, settings: Mapping[str, Any]) -> None:
    """Refuse what is set for ratios and partners where the blend has neither.

    Parameters
    ----------
    blend
        How activations become one.
    settings
        Those of `DEFAULTS`, as they were given.

    Raises
    ------
    InputError
        For `Many` with a setting that is not the default; it names all of them.
    """
    if not isinstance(blend, Many):
        return
    given = [
        f"{name}={brief(value)}" for name, value in settings.items() if value != DEFAULTS[name]
    ]
    if given:
        told = ", ".join(given).replace("ranks=None", "across=True")
        raise InputError(
            f"the blend {blend!r} mixes the whole batch with weights of its own, so that {told} "
            "would be ignored: leave out what is said of ratios, partners and remix, or choose "
            "another blend; the law of its weights is low and high"
        )


def check_remix(remix: object) -> None:
    """Refuse what is no `Remix`; None is none."""
    if remix is not None and not isinstance(remix, Remix):
        raise InputError(f"remix is {brief(remix)}, but must be layermix.mixing.Remix(counts)")


def check_size(batch_size: object) -> None:
    """Refuse what is no number of examples, such as the examples themselves."""
    if not is_whole(batch_size):
        raise InputError(
            f"batch_size is {brief(batch_size)}, but must be the number of examples, len(x)"
        )


def chance(probability: float | Schedule, clock: Clock) -> float:
    """Return the probability that a step is mixed, as it is now."""
    value = number_of(probability, clock, "probability")
    if not 0 <= value <= 1:
        raise InputError(f"probability is {value}, but it must be a number in [0, 1]")
    return value


def by_epoch(*, per: str, ratio: object, **settings: object) -> tuple[str, ...]:
    """Return the settings that change by epoch: ``per="epoch"``, and schedules of that unit."""
    changing = {n: v for n, v in settings.items() if getattr(v, "unit", None) == "epoch"}
    if per == "epoch" and (ratio is None or ratio == "uniform"):
        changing["per"] = per
    return tuple(f"{name}={value!r}" for name, value in changing.items())


class EpochReminder:
    """Warns once if settings depend on epochs, and steps are drawn without an epoch ever begun.

    The first epoch begins before the first step. An epoch has ended unseen when, after batches of
    one size, a smaller one is followed by one of that size: the last batch of an epoch is the
    smaller one. Otherwise the length of an epoch is unknown, and `PATIENCE` steps must pass.

    Parameters
    ----------
    settings
        The settings that change by epoch, in words.
    """

    def __init__(self, settings: tuple[str, ...]) -> None:
        self.settings = settings
        self._sizes: list[int] = []  # of the batches, repetitions left out

    def after(self, steps: int, batch_size: int) -> None:
        """Warn, if it is due, at the draw of a batch after so many steps without an epoch."""
        if not self.settings:
            return
        if self._sizes[-1:] != [batch_size]:
            self._sizes.append(batch_size)
        ended = len(self._sizes) == 3 and self._sizes[1] < self._sizes[0] == self._sizes[2]
        if not ended and steps < PATIENCE:
            return
        warn(
            f"{steps} steps were drawn and no epoch was begun, so that "
            f"{' and '.join(self.settings)} stays as at the start: call next_epoch() of the mixer "
            "at the start of each epoch",
        )
        self.settings = ()

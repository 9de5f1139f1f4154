"""Settings of a planner that go together, or do not: what would be ignored is told.

A blend of the whole batch has no ratio and no partner, so that what says how they are drawn is
refused. Settings by epoch need the calls of `next_epoch` that tell a planner when one begins.
"""

import warnings
from collections.abc import Mapping
from typing import Any

from layermix.errors import InputError
from layermix.mixing.blends import Blend, Many
from layermix.mixing.partners import Permutation

PATIENCE = 50  # steps before an epoch must have begun: fewer may be a few plans drawn by hand

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
    given = [f"{name}={value!r}" for name, value in settings.items() if value != DEFAULTS[name]]
    if given:
        told = ", ".join(given).replace("ranks=None", "across=True")
        raise InputError(
            f"the blend {blend!r} mixes the whole batch with weights of its own, so that {told} "
            "would be ignored: leave out what is said of ratios, partners and remix, or choose "
            "another blend; the law of its weights is low and high"
        )


def by_epoch(*, per: str, ratio: object, **settings: object) -> tuple[str, ...]:
    """Return the settings that change by epoch: ``per="epoch"``, and schedules of that unit."""
    changing = {n: v for n, v in settings.items() if getattr(v, "unit", None) == "epoch"}
    if per == "epoch" and (ratio is None or ratio == "uniform"):
        changing["per"] = per
    return tuple(f"{name}={value!r}" for name, value in changing.items())


def warn_of_no_epoch(settings: tuple[str, ...]) -> None:
    """Warn that steps follow one another, but no epoch was begun for the settings that go by it."""
    warnings.warn(
        f"{PATIENCE} steps were drawn and no epoch was begun, so that {' and '.join(settings)} "
        "stays as at the start: call next_epoch() of the mixer at the start of each epoch",
        UserWarning,
        stacklevel=3,
    )

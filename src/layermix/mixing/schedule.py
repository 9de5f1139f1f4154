"""When: settings that change on the way, by step or by epoch.

A probability, an alpha or the weights of the mix points may be a schedule in place of a number. All
are functions of a clock that the planner keeps: its draws are steps, its `next_epoch` calls epochs.
Warm-up is a ramp of the probability; switching off in the last part of training a window; annealed
alpha and layer annealing are ramps of alpha and of the weights.
"""

import math
import numbers
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

from layermix.errors import InputError, brief, unknown

Unit = Literal["step", "epoch"]
Value = float | tuple[float, ...]


@dataclass
class Clock:
    """How many steps and epochs lie behind.

    Attributes
    ----------
    step
        Plans drawn.
    epoch
        Of the present draw; 0 until the second call of `next_epoch`.
    begun
        Whether `next_epoch` was called.
    """

    step: int = 0
    epoch: int = 0
    begun: bool = False

    def next_epoch(self) -> None:
        """Begin an epoch: the first call begins epoch 0."""
        self.epoch += self.begun
        self.begun = True

    def time(self, unit: Unit) -> int:
        """Return the present step or epoch."""
        return self.step if unit == "step" else self.epoch


@runtime_checkable
class Schedule(Protocol):
    """A setting that depends on the clock."""

    def at(self, clock: Clock) -> Value:
        """Return the value now."""
        ...


@dataclass(frozen=True)
class Ramp:
    """From one value to another, then that one.

    Attributes
    ----------
    first, last
        A number, or a number for each mix point.
    over
        Steps or epochs that it takes.
    start
        When it begins; `first` before.
    unit
        ``"step"`` or ``"epoch"``. Epochs are the calls of `next_epoch`.
    shape
        ``"linear"``, or ``"cosine"``: slow at both ends.

    Examples
    --------
    >>> Ramp(0.0, 1.0, over=4, unit="step").at(Clock(step=1))
    0.25
    """

    first: Value
    last: Value
    over: int
    start: int = 0
    unit: Unit = "epoch"
    shape: Literal["linear", "cosine"] = "linear"

    def __post_init__(self) -> None:
        _check_unit(self.unit)
        if self.shape not in ("linear", "cosine"):
            raise unknown("shape of a ramp", self.shape, ["linear", "cosine"])
        if self.over < 1:
            raise InputError(f"a ramp over {self.over} {self.unit}s is none: give over >= 1")
        if _size(self.first) != _size(self.last):
            raise InputError(
                f"a ramp leads from {self.first} to {self.last}, but needs as many numbers at both "
                "ends"
            )

    def at(self, clock: Clock) -> Value:
        """Return the value now."""
        way = min(max((clock.time(self.unit) - self.start) / self.over, 0.0), 1.0)
        if self.shape == "cosine":
            way = (1 - math.cos(math.pi * way)) / 2
        if isinstance(self.first, tuple) and isinstance(self.last, tuple):
            return tuple(_between(a, b, way) for a, b in zip(self.first, self.last, strict=True))
        assert not isinstance(self.first, tuple)
        assert not isinstance(self.last, tuple)
        return _between(self.first, self.last, way)


@dataclass(frozen=True)
class Window:
    """One value for a while, another before and after.

    Attributes
    ----------
    value
        Inside the window.
    start, stop
        First step or epoch of it, and the first one after it; None: it never ends.
    outside
        The value before and after.
    unit
        ``"step"`` or ``"epoch"``. Epochs are the calls of `next_epoch`.

    Examples
    --------
    >>> Window(0.5, stop=180).at(Clock(epoch=180))
    0.0
    """

    value: float = 1.0
    start: int = 0
    stop: int | None = None
    outside: float = 0.0
    unit: Unit = "epoch"

    def __post_init__(self) -> None:
        _check_unit(self.unit)
        if self.stop is not None and self.stop <= self.start:
            raise InputError(
                f"a window from {self.unit} {self.start} to {self.stop} is empty: give stop > start"
            )

    def at(self, clock: Clock) -> float:
        """Return the value now."""
        now = clock.time(self.unit)
        inside = self.start <= now and (self.stop is None or now < self.stop)
        return self.value if inside else self.outside


def ends_of(setting: float | Schedule) -> list[float | Schedule]:
    """Return the numbers between which a setting stays, as far as it tells; else itself.

    What is wrong with one of them can then be said before training has come to it.
    """
    if isinstance(setting, Ramp):
        return [end for end in (setting.first, setting.last) if not isinstance(end, tuple)]
    return [setting.value, setting.outside] if isinstance(setting, Window) else [setting]


def number_of(setting: float | Schedule, clock: Clock, what: str) -> float:
    """Return a setting that is one number, as it is now.

    Raises
    ------
    InputError
        When it is none.
    """
    if type(setting) is float:  # which is asked at every draw, and a protocol is slow to tell
        return setting
    value = setting.at(clock) if isinstance(setting, Schedule) else setting
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    raise InputError(f"{what} is {brief(value)}, but must be a number, or a schedule of numbers")


def _between(first: float, last: float, way: float) -> float:
    return last if way == 1 else first + way * (last - first)


def _size(value: Value) -> int | None:
    return len(value) if isinstance(value, tuple) else None


def _check_unit(unit: str) -> None:
    if unit not in get_args(Unit):
        raise unknown("unit of a schedule", unit, get_args(Unit))

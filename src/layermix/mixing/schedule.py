"""Settings that change during training, by step or by epoch.

A probability, an alpha or the weights of the mix points may be a schedule instead of a number.
Use a ramp of the probability for warm-up, and a window to stop mixing before training ends.
"""

import math
import numbers
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from layermix.errors import InputError, brief, unknown

Unit = Literal["step", "epoch"]
Value = float | tuple[float, ...]


@dataclass
class Clock:
    """The current step (plans drawn so far) and the current epoch (None until it is set)."""

    step: int = 0
    epoch: int | None = None

    def time(self, unit: Unit) -> int:
        """Return the current step or epoch; the epoch is 0 until it is set."""
        return self.step if unit == "step" else self.epoch or 0


@runtime_checkable
class Schedule(Protocol):
    """A setting whose value depends on the current step or epoch."""

    def at(self, clock: Clock) -> Value:
        """Return the value of the setting at a step or epoch."""
        ...


@dataclass(frozen=True)
class Ramp:
    """A schedule that changes from one value to another, and is constant before and after.

    Attributes
    ----------
    first, last
        A number, or a number for each mix point.
    over, start
        Length and start, in steps or in epochs as given to `set_epoch`.
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
            raise InputError(f"over is {self.over} {self.unit}s, but a ramp needs over >= 1")
        if _size(self.first) != _size(self.last):
            raise InputError(
                f"a ramp from {self.first} to {self.last} needs the same number of values"
            )

    def at(self, clock: Clock) -> Value:
        """Return the value at a step or epoch."""
        share = min(max((clock.time(self.unit) - self.start) / self.over, 0.0), 1.0)
        if self.shape == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        first, last = self.first, self.last
        if isinstance(first, tuple) and isinstance(last, tuple):
            return tuple(_between(a, b, share) for a, b in zip(first, last, strict=True))
        assert not isinstance(first, tuple)
        assert not isinstance(last, tuple)
        return _between(first, last, share)


@dataclass(frozen=True)
class Window:
    """A schedule with one value from `start` to `stop`, and another value before and after.

    Attributes
    ----------
    value, outside
        Values inside and outside the window.
    start, stop
        First step or epoch inside the window, and the first one after it; None for no end.

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
        """Return the value at a step or epoch."""
        now = clock.time(self.unit)
        inside = self.start <= now and (self.stop is None or now < self.stop)
        return self.value if inside else self.outside


def range_of(setting: Any) -> list[Any]:
    """Return the two values of a ramp or window, else the setting itself, to check them early."""
    if isinstance(setting, Ramp):
        return [end for end in (setting.first, setting.last) if not isinstance(end, tuple)]
    return [setting.value, setting.outside] if isinstance(setting, Window) else [setting]


def by_epoch(**settings: object) -> list[str]:
    """Return the settings that are schedules by epoch, as NAME=VALUE."""
    return [f"{k}={v!r}" for k, v in settings.items() if getattr(v, "unit", None) == "epoch"]


def number_at(setting: float | Schedule, clock: Clock, name: str) -> float:
    """Return the current value of a setting; raise an `InputError` unless it is one number."""
    value = setting.at(clock) if isinstance(setting, Schedule) else setting
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    raise InputError(f"{name} is {brief(value)}, but must be a number, or a schedule of numbers")


def _between(first: float, last: float, share: float) -> float:
    return last if share == 1 else first + share * (last - first)


def _size(value: Value) -> int | None:
    return len(value) if isinstance(value, tuple) else None


def _check_unit(unit: str) -> None:
    if unit not in get_args(Unit):
        raise unknown("unit of a schedule", unit, get_args(Unit))

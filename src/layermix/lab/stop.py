"""Stop a command by Ctrl-C, SIGTERM or SIGHUP, at once or at the next good moment."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_GRACE_SECONDS = 20.0


class Stopped(KeyboardInterrupt):
    """The command was stopped by a signal, whose number is `signum`."""

    def __init__(self, message: str = "", signum: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.signum = signum


class StopRequest:
    """A request to stop: `signum` is the signal that arrived, or None."""

    signum: int | None = None
    _since = 0.0

    def __bool__(self) -> bool:
        return self.signum is not None

    def note(self, signum: int) -> None:
        """Note the signal."""
        self.signum, self._since = signum, time.monotonic()

    @property
    def is_overdue(self) -> bool:
        """True if the time in which an epoch may end is over."""
        return bool(self) and time.monotonic() - self._since > _GRACE_SECONDS

    def raise_stopped(self) -> NoReturn:
        """Raise `Stopped` with the signal."""
        raise Stopped(signum=self.signum or signal.SIGINT)


def stopped_as(stop: KeyboardInterrupt, message: str) -> Stopped:
    """Return the interrupt with a message, which follows the word "stopped"."""
    return Stopped(f"stopped. {message}", getattr(stop, "signum", signal.SIGINT))


@contextmanager
def stop_requests(*, at_once: bool = False) -> Iterator[StopRequest]:
    """Inside the block, the first signal is noted in the `StopRequest`; a second one raises.

    It raises `Stopped`. If `at_once` is True, so does the first signal.
    """
    request = StopRequest()

    def note(signum: int, _: FrameType | None) -> None:
        if request or at_once:
            raise Stopped(signum=signum)
        request.note(signum)

    with _handlers(note):
        yield request


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Inside the block, SIGTERM and SIGHUP raise `Stopped`, as Ctrl-C raises an interrupt."""
    with stop_requests(at_once=True):
        yield


@contextmanager
def _handlers(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle the signals inside the block, except those that are ignored, as by ``nohup``."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name, None) for name in _NAMES):
            if number and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)

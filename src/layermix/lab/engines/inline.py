"""The engine that trains one run at a time in this process."""

import time
from collections import deque
from collections.abc import Iterator

from layermix.lab.engines.execute import execute
from layermix.lab.engines.job import Event, Job


class InlineEngine:
    """Train jobs in this process, one after another; see `Engine`."""

    slots = 1

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._running: Iterator[Event] | None = None
        self._stopped = False

    def submit(self, job: Job) -> None:
        """Train a job after those that were submitted before."""
        self._waiting.append(job)

    def events(self, timeout: float) -> Iterator[Event]:
        """Train for about `timeout` seconds, and yield the events."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self._running is None:
                if not self._waiting:
                    return
                self._running = execute(self._waiting.popleft(), lambda: self._stopped)
            event = next(self._running, None)
            if event is None:
                self._running = None
            else:
                yield event

    def cancel(self, job: str) -> None:
        """End the job, between two steps."""
        self._waiting = deque(each for each in self._waiting if each.name != job)
        self.close()

    def stop(self) -> None:
        """End the job after its current epoch."""
        self._stopped = True

    def close(self) -> None:
        """End the job."""
        if self._running:
            self._running.close()  # pyright: ignore[reportAttributeAccessIssue]
        self._running = None

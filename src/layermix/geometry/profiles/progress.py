"""A bar on the standard error stream, where that is a terminal."""

import shutil
import sys

_WIDTH = 24


class Bar:
    """Progress of a profile, in steps: forward passes, then layers."""

    def __init__(self, wanted: bool) -> None:
        self._steps, self._done = 1, 0
        self._shown = wanted and sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> "Bar":
        self._show("reading examples")
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print(f"\r{' ' * self._line}\r", end="", file=sys.stderr, flush=True)

    def expect(self, steps: int) -> None:
        """Say how many steps there will be."""
        self._steps = steps

    def step(self, what: str) -> None:
        """Show that a step is done, and what is being done."""
        self._done += 1
        self._show(what)

    @property
    def _line(self) -> int:
        return shutil.get_terminal_size().columns - 1

    def _show(self, what: str) -> None:
        if self._shown:
            bar = "#" * round(self._done / self._steps * _WIDTH)
            line = f"{bar:.<{_WIDTH}} {what}"[: self._line]
            print(f"\r{line:<{self._line}}", end="", file=sys.stderr, flush=True)

"""A bar on the standard error stream, where that is a terminal."""

import sys

_WIDTH = 24
_LINE = 78


class Bar:
    """Progress of a profile: half of the bar for the forward passes, half for the layers."""

    def __init__(self, examples: int, layers: int, wanted: bool) -> None:
        self._examples, self._layers, self._measured = examples, layers, 0
        self._shown = wanted and sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> "Bar":
        self._show(0, "looking at what a mix does")
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print(f"\r{' ' * _LINE}\r", end="", file=sys.stderr, flush=True)

    def forward(self, done: int) -> None:
        """Show how many examples went through the model."""
        self._show(done / self._examples / 2, f"{done:,} of {self._examples:,} examples")

    def measure(self, name: str) -> None:
        """Show which layer is being measured."""
        self._show(0.5 + self._measured / self._layers / 2, f"measuring {name}")
        self._measured += 1

    def _show(self, share: float, what: str) -> None:
        if self._shown:
            bar = "#" * round(share * _WIDTH)
            line = f"{bar:.<{_WIDTH}} {what}"[:_LINE]
            print(f"\r{line:<{_LINE}}", end="", file=sys.stderr, flush=True)

"""Text on a terminal: the console of all commands, and the progress of runs and studies."""

import contextlib
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from layermix.experiments.data import Dataset
from layermix.experiments.run import load_once
from layermix.experiments.store import Record, RunConfig, RunResult, unfinished_runs
from layermix.experiments.study import Study

SUBSETS = {
    "balanced": "class-balanced",
    "stratified": "stratified, for a class has too few images to balance them",
}
_MIN_WIDTH = 110  # characters of a line without a terminal
_LINE_SECONDS = 10.0  # smallest time between two lines of progress without a terminal
_POLL_SECONDS = 1.0
_ALL_SAMPLES = 1e9  # seconds: the speed is estimated from all epochs


class PlainConsole(Console):
    """A console that prints names as they are: ``[a]`` is no markup and ``:m:`` no emoji."""

    def __init__(self, width: int | None = None) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, width=width)

    def on_broken_pipe(self) -> None:
        """Raise `BrokenPipeError` for the command to handle; rich would exit."""
        self.quiet = True
        raise BrokenPipeError


def open_console() -> Console:
    """Return the terminal, or without one a console at least 110 characters wide."""
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(max(_MIN_WIDTH, console.width))


def print_text(console: Console, text: str) -> None:
    """Print text as it is. Lines are folded on a terminal alone."""
    console.print(Text(text), soft_wrap=not console.is_terminal)


def print_sentences(console: Console, text: str) -> None:
    """Print sentences folded between words to the width of the console."""
    console.print(Text(text))


@contextmanager
def show_status(console: Console, message: str) -> Iterator[None]:
    """Show a message during a long operation: with a spinner on a terminal, as a line elsewhere."""
    if console.is_terminal:
        with console.status(Text(message)):
            yield
    else:
        print_text(console, f"{message} ...")
        yield


def replace_unknown_characters() -> None:
    """Let the standard streams write a question mark for what their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")


def sizes_text(data: Dataset) -> str:
    """Return the numbers of images and classes as text."""
    subset = f" ({SUBSETS[data.subset]})" if data.subset in SUBSETS else ""
    return (
        f"{len(data.train):,} training{subset}, {len(data.val):,} validation and "
        f"{len(data.test):,} test images of {len(data.classes):,} classes"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


class RunDisplay:
    """Progress of one run: a bar on a terminal, a line for each epoch elsewhere."""

    def __init__(self, console: Console, epochs: int) -> None:
        self.console, self.epochs = console, epochs
        columns = ("epoch", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        note = TextColumn("{task.fields[note]}")
        self.progress = Progress(*columns, note, console=console, disable=not console.is_terminal)
        self.task = self.progress.add_task("", total=epochs, note="")

    def __enter__(self) -> "RunDisplay":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def __call__(self, record: Record) -> None:
        """Show the record of an epoch."""
        loss, accuracy = record.get("train_loss"), record.get("val_accuracy")
        note = "" if loss is None else f"loss {loss:.3f}"
        note += "" if accuracy is None else f"  validation accuracy {accuracy:.1%}"
        self.progress.update(self.task, completed=record["epoch"], note=note)
        if not self.console.is_terminal:
            self.console.print(f"epoch {record['epoch']}/{self.epochs}  {note.strip()}")


class StudyDisplay:
    """Progress of a study: a live table on a terminal, lines elsewhere.

    It shows validation accuracy, because the test data are for the report alone.
    """

    def __init__(self, console: Console, study: Study, workers: int) -> None:
        self.console, self.study, self.workers = console, study, workers
        self.accuracy: dict[str, list[float]] = {name: [] for name in study.config.variants}
        for cell, result in study.results().items():
            self.accuracy[cell.variant].append(result.val["accuracy"])
        self.total, self.failed = len(list(study.cells())), 0
        self.epochs = study.config.recipe.epochs
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=console,
            speed_estimate_period=_ALL_SAMPLES,
        )
        self.task = self.progress.add_task(
            f"{self.done} of {self.total} runs",
            total=self.total * self.epochs,
            completed=self.done * self.epochs,
        )
        self.live = Live(console=console, get_renderable=self._table, refresh_per_second=2)
        self.last_line, self.stopped = 0.0, threading.Event()
        self.poller = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> "StudyDisplay":
        if self.done == self.total:
            self.console.print(f"All {self.total} runs are finished.")
            return self
        if self.done:
            self.console.print(f"{self.done} of {self.total} runs are finished, continuing.")
        print_sentences(self.console, self._plan_text())
        if self.console.is_terminal:
            self.live.start()
        self.poller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.live.stop()

    @property
    def done(self) -> int:
        """The number of finished runs."""
        return sum(map(len, self.accuracy.values()))

    def add(self, cell: RunConfig, outcome: RunResult | str) -> None:
        """Show the result of a run, or the message of its error."""
        if isinstance(outcome, str):
            self.failed += 1
            self.console.print(Text(f"{cell.name} failed: {outcome}"))
            return
        accuracy = outcome.val["accuracy"]
        self.accuracy[cell.variant].append(accuracy)
        self.update()
        if not self.console.is_terminal:
            self._print_line(
                f"{cell.variant} seed {cell.seed}: validation accuracy {accuracy:.1%}, "
                f"{self.time_left}"
            )

    def _plan_text(self) -> str:
        config = self.study.config
        variants, seeds = len(config.variants), len(config.seeds)
        return (
            f"{sizes_text(load_once(config.data))}. {_count(variants, 'variant')} × "
            f"{_count(seeds, 'seed')} = {_count(self.total, 'run')} of "
            f"{_count(self.epochs, 'epoch')}, {min(self.workers, self.total - self.done)} at a "
            "time. The time left is estimated after the first epochs."
        )

    def update(self) -> dict[str, int]:
        """Update the progress; return the number of finished epochs of each run in progress."""
        running = {}
        for name, path in unfinished_runs(self.study.runs):
            with contextlib.suppress(OSError):  # not started yet, or renamed just now
                lines = (path / "epochs.jsonl").read_text().count("\n")
                running[name] = max(0, lines - 1)
        epochs = (self.done + self.failed) * self.epochs + sum(running.values())
        done = max(epochs, self.progress.tasks[self.task].completed)
        text = f"{self.done} of {self.total} runs"
        self.progress.update(self.task, completed=done, description=text)
        return running

    def _poll(self) -> None:
        """Update the progress until the end; print it after the first epoch and after silences."""
        printed: dict[str, int] = {}
        while not self.stopped.wait(_POLL_SECONDS):
            running = self.update()
            due = time.monotonic() - self.last_line >= _LINE_SECONDS
            if (
                not self.console.is_terminal
                and due
                and any(running.values())
                and running != printed
            ):
                printed = running
                runs = (f"{name} epoch {n}/{self.epochs}" for name, n in running.items())
                with contextlib.suppress(OSError):  # the reader is gone: the next run ends it
                    self._print_line(f"running: {', '.join(runs)}; {self.time_left}")

    def _print_line(self, text: str) -> None:
        self.last_line = time.monotonic()
        self.console.print(Text(f"{self.done}/{self.total}  {text}"))

    @property
    def time_left(self) -> str:
        """The estimated time left as text."""
        seconds = self.progress.tasks[self.task].time_remaining
        return "time left unknown" if seconds is None else f"{timedelta(seconds=seconds)} left"

    def _table(self) -> Group:
        table = Table("variant")
        for name in ("seeds", "validation accuracy", "standard deviation"):
            table.add_column(name, justify="right")
        for variant, values in self.accuracy.items():
            mean = f"{statistics.mean(values):.2%}" if values else ""
            deviation = f"{statistics.stdev(values):.2%}" if len(values) > 1 else ""
            seeds = f"{len(values)}/{len(self.study.config.seeds)}"
            table.add_row(Text(variant), seeds, mean, deviation)
        return Group(table, self.progress)

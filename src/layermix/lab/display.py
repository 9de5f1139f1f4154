"""Terminal output: the console of all commands, and the progress of runs and studies."""

import contextlib
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.segment import Segment
from rich.text import Text

from layermix.errors import printable
from layermix.lab.data import Dataset
from layermix.lab.run_setup import load_once
from layermix.lab.store import Record, RunConfig, RunResult
from layermix.lab.study import StudyFolder

SUBSETS = {
    "balanced": "class-balanced",
    "stratified": "stratified, because a class has too few examples for balance",
}
_MIN_WIDTH = 110  # minimum line width without a terminal
_LINE_SECONDS = 10.0  # minimum time between two progress lines without a terminal
_POLL_SECONDS = 1.0
_ALL_SAMPLES = 1e9  # seconds: the speed is estimated from all epochs


class PipeConsole(Console):
    """Console that raises a `BrokenPipeError` if its output is closed; rich would exit.

    Control characters of texts are shown as escapes.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render an object, with control characters of its text as escapes."""
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else printable(segment.text)
            yield segment._replace(text=text)

    def on_broken_pipe(self) -> None:
        """Stop printing, and raise a `BrokenPipeError`, because the output was closed."""
        self.quiet = True
        raise BrokenPipeError


def open_console() -> Console:
    """Return a console, which is at least 110 characters wide if the output is not a terminal.

    Markup and emoji codes are disabled, so that ``[a]`` and ``:m:`` are printed unchanged.
    """
    console = PipeConsole(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = max(_MIN_WIDTH, console.width)
    return console


def print_text(console: Console, text: str, *, fold: bool = False) -> None:
    """Print text without markup; wrap lines on a terminal, or if `fold` is True."""
    console.print(Text(text), soft_wrap=not (fold or console.is_terminal))


@contextmanager
def show_status(console: Console, message: str) -> Iterator[None]:
    """Show a message during the block: with a spinner on a terminal, otherwise as one line."""
    if console.is_terminal:
        with console.status(Text(message)):
            yield
    else:
        print_text(console, f"{message} ...")
        yield


def replace_unknown_characters() -> None:
    """Make stdout and stderr write a question mark for characters that they cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")


def sizes_text(data: Dataset) -> str:
    """Return the numbers of examples and classes as text."""
    subset = f" ({SUBSETS[data.subset]})" if data.subset in SUBSETS else ""
    return (
        f"{len(data.train):,} training{subset}, {len(data.val):,} validation and "
        f"{len(data.test):,} test {data.modality.noun} of {len(data.classes):,} classes"
    )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(20),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        disable=not console.is_terminal,
        speed_estimate_period=_ALL_SAMPLES,
    )


def _time_left(progress: Progress, task: TaskID) -> str:
    seconds = progress.tasks[task].time_remaining
    return "time left unknown" if seconds is None else f"{timedelta(seconds=seconds)} left"


@contextmanager
def run_display(console: Console, epochs: int) -> Iterator[Callable[[Record], None]]:
    """Show the progress of a run (on a terminal, a bar); yield a function that shows a record."""
    with _progress(console) as progress:
        task = progress.add_task("", total=epochs, note="")

        def show(record: Record) -> None:
            loss, accuracy = record.get("train_loss"), record.get("val_accuracy")
            note = f"epoch {record['epoch']}/{epochs}"
            note += "" if loss is None else f"  loss {loss:.3f}"
            note += "" if accuracy is None else f"  validation accuracy {accuracy:.1%}"
            progress.update(task, completed=record["epoch"])
            progress.update(task, note=f"{note}  {_time_left(progress, task)}")
            if not console.is_terminal:
                console.print(note)

        yield show


class StudyDisplay:
    """Show the progress of a study: on a terminal a row for each variant, otherwise lines.

    It shows validation accuracy, because test data are only used in the report.
    """

    def __init__(self, console: Console, study: StudyFolder, workers: int) -> None:
        self.console, self.study, self.workers = console, study, workers
        config, self.total, self.failed = study.config, len(list(study.cells())), 0
        self.accuracy: dict[str, list[float]] = {name: [] for name in config.variants}
        for cell, result in study.run_results().items():
            self.accuracy[cell.variant].append(result.val["accuracy"])
        self.epochs = 1 if config.train else config.recipe.epochs
        self.progress = _progress(console)
        self.rows = {
            name: self.progress.add_task(name, total=len(config.seeds), note="")
            for name in config.variants
        }
        total, completed = self.total * self.epochs, self.done * self.epochs
        self.task = self.progress.add_task("all", total=total, completed=completed, note="")
        self.warned, self.running = set[str](), dict[str, int]()  # epochs of each run
        self.last_line, self.stopped = 0.0, threading.Event()
        self.poller = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> "StudyDisplay":
        if self.done == self.total:
            self.console.print(f"All {self.total} runs are finished.")
            return self
        if self.done:
            self.console.print(f"{self.done} of {self.total} runs are finished, continuing.")
        print_text(self.console, self._plan_text(), fold=True)
        self.update()
        self.progress.start()
        self.poller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.progress.stop()

    @property
    def done(self) -> int:
        """The number of finished runs."""
        return sum(map(len, self.accuracy.values()))

    @property
    def time_left(self) -> str:
        """The estimated time left."""
        return _time_left(self.progress, self.task)

    def record(self, cell: RunConfig, epoch: int) -> None:
        """Show the number of finished epochs of a run."""
        self.running[cell.name] = epoch

    def report(self, text: str) -> None:
        """Show a text."""
        print_text(self.console, text, fold=True)

    def add(self, cell: RunConfig, outcome: RunResult | str) -> None:
        """Show the result of a run, or its error message."""
        self.running.pop(cell.name, None)
        if isinstance(outcome, str):
            self.failed += 1
            self.console.print(Text(f"{cell.name} failed: {outcome}"))
            return
        for text in outcome.warnings:
            if text not in self.warned:
                self.warned.add(text)
                print_text(self.console, f"Warning: {text}", fold=True)
        accuracy = outcome.val["accuracy"]
        self.accuracy[cell.variant].append(accuracy)
        self.update()
        self._print_line(
            f"{cell.variant} seed {cell.seed}: validation accuracy {accuracy:.1%}, {self.time_left}"
        )

    def update(self) -> dict[str, int]:
        """Update the rows, and return the number of finished epochs of each run in progress."""
        running = dict(self.running)
        for name, values in self.accuracy.items():
            mean = f"  validation accuracy {statistics.mean(values):.2%}" if values else ""
            deviation = f" (SD {statistics.stdev(values):.2%})" if len(values) > 1 else ""
            note = f"{len(values)}/{len(self.study.config.seeds)}{mean}{deviation}"
            self.progress.update(self.rows[name], completed=len(values), note=note)
        epochs = (self.done + self.failed) * self.epochs + sum(running.values())
        completed = max(epochs, self.progress.tasks[self.task].completed)
        self.progress.update(self.task, completed=completed)
        note = f"{self.done}/{self.total}  {self.time_left}"
        self.progress.update(self.task, note=note)
        return running

    def _plan_text(self) -> str:
        config, workers = self.study.config, min(self.workers, self.total - self.done)
        sizes = sizes_text(load_once(config.data, config.seeds[0]))
        epochs = "" if config.train else f"epochs: {self.epochs:,}, "
        return (
            f"{sizes}. Variants: {len(config.variants)}, seeds: {len(config.seeds)}, "
            f"runs: {self.total}, {epochs}parallel: {workers}. The time left is estimated after "
            f"the first {'runs' if config.train else 'epochs'}."
        )

    def _poll(self) -> None:
        """Update the rows until the study ends; without a terminal, print a line now and then."""
        printed: dict[str, int] = {}
        while not self.stopped.wait(_POLL_SECONDS):
            running = self.update()
            due = time.monotonic() - self.last_line >= _LINE_SECONDS
            if due and any(running.values()) and running != printed:
                printed = running
                runs = (f"{name} epoch {n}/{self.epochs}" for name, n in running.items())
                with contextlib.suppress(OSError):  # closed output; the next result raises
                    self._print_line(f"running: {', '.join(runs)}; {self.time_left}")

    def _print_line(self, text: str) -> None:
        if not self.console.is_terminal:
            self.last_line = time.monotonic()
            self.console.print(Text(f"{self.done}/{self.total}  {text}"))

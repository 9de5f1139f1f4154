"""Show how a run or a study goes: live on a terminal, in plain lines elsewhere."""

import contextlib
import statistics
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from layermix.experiments.data import Dataset
from layermix.experiments.run import RunConfig
from layermix.experiments.store import read_json, remove_unfinished, unfinished_runs
from layermix.experiments.study import Study
from layermix.experiments.training.train import Record

_CHOSEN = {
    "balanced": "class-balanced",
    "stratified": "stratified, for a class has too few images to balance them",
}
_SILENCE = 10.0  # least seconds between two lines of progress where there is no terminal
_LOOK = 1.0  # seconds between two looks at the runs under way


def sizes_text(data: Dataset) -> str:
    """Return how many images of how many classes there are, and how they were chosen."""
    chosen = f" ({_CHOSEN[data.chosen]})" if data.chosen in _CHOSEN else ""
    return (
        f"{len(data.train):,} training{chosen}, {len(data.val):,} validation and "
        f"{len(data.test):,} test images of {len(data.classes):,} classes"
    )


def study_text(study: Study, data: Dataset, workers: int) -> str:
    """Return what a study is about to do: its data, its runs, and how many go side by side."""
    config = study.config
    variants, seeds = len(config.variants), len(config.seeds)
    left = variants * seeds - len(study.finished())
    return (
        f"{sizes_text(data)}. {_count(variants, 'variant')} × {_count(seeds, 'seed')} = "
        f"{_count(variants * seeds, 'run')} of {_count(config.recipe.epochs, 'epoch')}, "
        f"{min(workers, left)} at a time. The time left is estimated after the first epochs."
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


class RunView:
    """Progress of one run: a bar on a terminal, a line for each epoch elsewhere."""

    def __init__(self, console: Console, epochs: int) -> None:
        self.console, self.epochs = console, epochs
        columns = ("epoch", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, TextColumn("{task.fields[note]}"), console=console)
        self.task = self.bar.add_task("", total=epochs, note="")

    def __enter__(self) -> "RunView":
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.bar.stop()

    def __call__(self, record: Record) -> None:
        """Show the record of an epoch."""
        loss, val = record.get("train_loss"), record.get("val_accuracy")
        note = "" if loss is None else f"loss {loss:.3f}"
        note += "" if val is None else f"  validation accuracy {val:.1%}"
        if self.console.is_terminal:
            self.bar.update(self.task, completed=record["epoch"], note=note)
        else:
            self.console.print(f"epoch {record['epoch']}/{self.epochs}  {note.strip()}")


class StudyView:
    """Progress of a study: a live table on a terminal, a line for each run elsewhere.

    Shows validation accuracy: the test data are for the report alone.
    """

    def __init__(self, console: Console, study: Study) -> None:
        self.console, self.study = console, study
        self.began: float | None = None  # when the first run was under way: workers start slowly
        self.values: defaultdict[str, list[float]] = defaultdict(list)
        self.total = len(list(study.cells()))
        remove_unfinished(study.runs)  # what killed processes left is not under way
        for cell in study.finished():
            self._count(cell)
        self.before = self.done
        self.live = Live(console=console, get_renderable=self._table, refresh_per_second=2)
        self.reported, self.ended = 0.0, threading.Event()
        self.reporter = threading.Thread(target=self._report_now_and_then, daemon=True)

    def __enter__(self) -> "StudyView":
        if self.before == self.total:
            self.console.print(f"All {self.total} runs are finished.")
        elif self.before:
            self.console.print(f"{self.before} of {self.total} runs are finished, continuing.")
        if self.console.is_terminal:
            self.live.start()
        elif self.before < self.total:
            self.reporter.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self.live.stop()

    @property
    def done(self) -> int:
        """The number of finished runs."""
        return sum(len(values) for values in self.values.values())

    def finished(self, cell: RunConfig, problem: str | None) -> None:
        """Take note of a finished run, or of one that failed."""
        if problem:
            self.console.print(Text(f"{cell.name} failed: {problem}"))
            return
        value = self._count(cell)
        if self.began is None:
            self.began = time.monotonic() - self._seconds(cell)
        if not self.console.is_terminal:
            self.reported = time.monotonic()
            line = (
                f"{self.done}/{self.total}  {cell.variant} seed {cell.seed}: validation accuracy "
                f"{value:.1%}, {self._time_left()}"
            )
            self.console.print(Text(line))

    def epochs_under_way(self) -> dict[str, int]:
        """Return how many epochs are done of each run under way, by the name of the run."""
        found = {}
        for name, path in unfinished_runs(self.study.runs):
            with contextlib.suppress(OSError):  # not begun yet, or finished and renamed just now
                lines = (path / "epochs.jsonl").read_text().count("\n")
                found[name] = max(0, lines - 1)
        return found

    def _report_now_and_then(self) -> None:
        """Print how far the runs are: after the first epoch, then after each long silence."""
        known: dict[str, int] = {}
        while not self.ended.wait(_LOOK):
            under_way = self.epochs_under_way()
            due = time.monotonic() - self.reported >= _SILENCE
            if due and any(under_way.values()) and under_way != known:
                self.reported, known = time.monotonic(), under_way
                self._report(under_way)

    def _report(self, under_way: dict[str, int]) -> None:
        epochs = self.study.config.recipe.epochs
        runs = ", ".join(f"{name} epoch {done}/{epochs}" for name, done in under_way.items())
        line = f"{self.done}/{self.total}  under way: {runs}; {self._time_left()}"
        with contextlib.suppress(OSError):  # the reader is gone: the next run that ends says so
            self.console.print(Text(line))

    def _count(self, cell: RunConfig) -> float:
        value = self._result(cell)["val"]["accuracy"]
        self.values[cell.variant].append(value)
        return value

    def _seconds(self, cell: RunConfig) -> float:
        return self._result(cell)["timings"]["total_seconds"]

    def _result(self, cell: RunConfig) -> dict:
        return read_json(self.study.path(cell) / "result.json")

    def _table(self) -> Table:
        table = Table(caption=f"{self.done} of {self.total} runs, {self._time_left()}")
        for name in ("variant", "seeds", "validation accuracy", "standard deviation"):
            table.add_column(name, justify="left" if name == "variant" else "right")
        for variant in self.study.config.variants:
            values = self.values[variant]
            seeds = f"{len(values)}/{len(self.study.config.seeds)}"
            mean = f"{statistics.mean(values):.2%}" if values else ""
            spread = f"{statistics.stdev(values):.2%}" if len(values) > 1 else ""
            table.add_row(Text(variant), seeds, mean, spread)
        return table

    def _time_left(self) -> str:
        """Estimate the time left from the runs that this process began, finished or under way."""
        work = self.done - self.before + self._under_way()
        if self.began is None or not work:
            return "time left unknown yet"
        seconds = (time.monotonic() - self.began) / work * (self.total - self.before - work)
        return f"about {_duration(max(0.0, seconds))} left"

    def _under_way(self) -> float:
        """Return how many runs' worth of epochs is done in the runs under way."""
        if self.began is None:
            ages = [_age(path) for _, path in unfinished_runs(self.study.runs)]
            self.began = time.monotonic() - max(ages) if ages else None
        return sum(self.epochs_under_way().values()) / self.study.config.recipe.epochs


def _age(run: Path) -> float:
    """Return the seconds since a run that is under way was begun, 0 if it has written nothing."""
    try:
        return max(0.0, time.time() - (run / "config.json").stat().st_mtime)
    except OSError:
        return 0.0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

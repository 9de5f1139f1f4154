"""Show the progress of a study that other processes train."""

import statistics
import time
from collections import Counter
from contextlib import nullcontext
from datetime import timedelta

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from layermix.errors import RunError
from layermix.lab.display import print_text
from layermix.lab.store.listing import ListedRun, list_runs
from layermix.lab.study import StudyFolder

_SECONDS = 2.0
_PROBLEMS = ("stopped", "damaged", "corrupt")


def watch_study(study: StudyFolder, console: Console) -> None:
    """Show the progress of a study until its runs are finished: on a terminal, as a table.

    Raises
    ------
    RunError
        If the folder of the study is removed.
    """
    view = _View(study)
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with live or nullcontext():
        last = ""
        while True:
            found = view.runs()
            if live:
                live.update(view.table(found), refresh=True)
            elif (line := view.line(found)) != last:
                print_text(console, last := line)
            if sum(run.status == "finished" for run in found) >= view.total:
                return
            if not study.folder.exists():
                raise RunError(f"the folder {study.folder} was removed")
            time.sleep(_SECONDS)


class _View:
    """Renders the runs of a study; the time left is estimated from the epochs since the start."""

    def __init__(self, study: StudyFolder) -> None:
        self.folder, self.config = study.runs, study.config
        self.cells = {cell.folder_name: cell for cell in study.cells()}
        self.total = len(self.cells)
        self.epochs = 1 if study.config.train else study.config.recipe.epochs
        self.start: tuple[float, int] | None = None

    def runs(self) -> list[ListedRun]:
        """Return the runs of the study's present configuration."""
        return [run for run in list_runs(self.folder) if run.name in self.cells]

    def line(self, found: list[ListedRun]) -> str:
        """Return the progress as one line."""
        counts = Counter(run.status for run in found)
        text = ", ".join(f"{run.name} {self._epoch(run)}" for run in _running(found))
        return f"{counts['finished']}/{self.total} finished; running: {text or 'none'}"

    def table(self, found: list[ListedRun]) -> Group:
        """Return a table with a row for each variant, and lines below it."""
        table = Table("Variant", "Finished", "Validation accuracy", "Running", box=box.SIMPLE)
        for variant in self.config.variants:
            runs = [run for run in found if self.cells[run.name].variant == variant]
            values = [run.accuracy for run in runs if run.accuracy is not None]
            finished = sum(run.status == "finished" for run in runs)
            running = ", ".join(f"seed {run.seed} {self._epoch(run)}" for run in _running(runs))
            count = f"{finished}/{len(self.config.seeds)}"
            table.add_row(Text(variant), count, _mean(values), running)
        lines = [self._summary(found)]
        lines += [f"{r.name}: {r.status}, {r.detail}" for r in found if r.status in _PROBLEMS]
        return Group(table, *map(Text, lines))

    def _epoch(self, run: ListedRun) -> str:
        return f"epoch {run.epochs}/{self.epochs}"

    def _summary(self, found: list[ListedRun]) -> str:
        counts = Counter(run.status for run in found)
        done = counts["finished"] * self.epochs + sum(run.epochs for run in _running(found))
        return (
            f"{counts['finished']}/{self.total} runs are finished, {counts['running']} are "
            f"running, {self._time_left(done)}."
        )

    def _time_left(self, done: int) -> str:
        now = time.monotonic()
        began, first = self.start = self.start or (now, done)
        if done <= first:
            return "time left unknown"
        seconds = (self.total * self.epochs - done) * (now - began) / (done - first)
        return f"{timedelta(seconds=round(seconds))} left"


def _running(found: list[ListedRun]) -> list[ListedRun]:
    return [run for run in found if run.status == "running"]


def _mean(values: list[float]) -> str:
    if not values:
        return ""
    deviation = f" (SD {statistics.stdev(values):.2%})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2%}{deviation}"

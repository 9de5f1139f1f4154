"""`layermix runs`: list the runs of a study, verify and remove them, or watch them."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console
from tyro.conf import Positional, arg

from layermix.errors import InputError
from layermix.lab.display import open_console, print_text
from layermix.lab.store import disk_errors
from layermix.lab.store.listing import ListedRun, grouped_conditions, list_runs
from layermix.lab.study import StudyFolder
from layermix.lab.training.environment import cpu_settings
from layermix.lab.watching import watch_study

_Statuses = Literal["finished", "running", "stopped", "damaged", "corrupt"]


def show_runs(
    folder: Positional[Path],
    status: Annotated[tuple[_Statuses, ...], arg(help_behavior_hint="")] = (),
    variants: Annotated[tuple[str, ...], arg(help_behavior_hint="")] = (),
    seed: int | None = None,
    verify: bool = False,
    remove: bool = False,
    watch: bool = False,
) -> None:
    """layermix runs runs/digits

    List the runs of a study: finished ones with their validation accuracy, running ones with their
    epochs, stopped and damaged ones with the reason.

    Args:
        folder: Folder of the study.
        status: Only runs with this status, or several: finished, running, stopped, damaged, or
            corrupt, which are damaged runs that were set aside.
        variants: Only runs of these variants.
        seed: Only runs of this seed.
        verify: Check the hashes of all files of finished runs, weights included, and set damaged
            runs aside; `layermix compare` trains them again.
        remove: Remove the listed runs, of which at least one property must be chosen. Runs that
            are being trained remain.
        watch: Show the progress, also that of other processes, until all runs are finished.
    """
    study, console = StudyFolder.open(folder), open_console()

    def chosen() -> list[ListedRun]:
        return [
            run
            for run in list_runs(study.runs)
            if (not status or run.status in status)
            and (not variants or run.variant in variants)
            and (seed is None or run.seed == seed)
        ]

    if remove and not (status or variants or seed is not None):
        raise InputError(
            "--remove would remove all runs: choose some by --status, --variants or --seed, or "
            "remove the folder of the study"
        )
    if watch:
        return watch_study(study, console)
    if verify:
        _verify(study, chosen(), console)
    found = chosen()
    if remove:
        return _remove(found, console)
    _show(study, found, console)
    return None


def _show(study: StudyFolder, found: list[ListedRun], console: Console) -> None:
    width = max((len(run.name) for run in found), default=0)
    lines = [_line(run, width) for run in found]
    counts = Counter(run.status for run in found)
    total = len(study.config.variants) * len(study.config.seeds)
    parts = [f"{count:,} {status}" for status, count in counts.items()]
    lines.append(f"{total:,} runs are planned. Listed: {', '.join(parts) or 'none'}.")
    groups = list(grouped_conditions(found))
    if len(groups) > 1:
        lines.append("Finished runs have different versions or hardware:")
        lines += [f"    {count:,} with {text}" for text, count in groups]
    print_text(console, "\n".join(lines))


def _line(run: ListedRun, width: int) -> str:
    accuracy = f"{run.accuracy:7.2%}" if run.accuracy is not None else " " * 7
    seconds = f"{run.seconds:9.1f} s" if run.seconds is not None else " " * 11
    epochs = f"epoch {run.epochs}" if run.epochs else ""
    parts = [f"{run.status:8}", f"{run.name:{width}}", accuracy, seconds, f"{epochs:10}"]
    return "  ".join([*parts, run.detail]).rstrip()


def _verify(study: StudyFolder, found: list[ListedRun], console: Console) -> None:
    chosen = {run.name for run in found}
    cells = [cell for cell in study.cells() if cell.folder_name in chosen]
    with cpu_settings(1), disk_errors(f"cannot set aside a run in {study.folder}"):
        damaged = study.set_aside_damaged(cells)
    for text in damaged:
        print_text(console, f"Warning: {text}", fold=True)
    print_text(console, f"Undamaged: {len(cells) - len(damaged):,} of {len(cells):,} runs.")


def _remove(found: list[ListedRun], console: Console) -> None:
    kept = [run for run in found if run.status == "running"]
    for run in found:
        if run not in kept:
            with disk_errors(f"cannot remove {run.path}"):
                shutil.rmtree(run.path)
    running = f" Being trained, and kept: {len(kept):,}." if kept else ""
    print_text(console, f"Removed: {len(found) - len(kept):,} runs.{running}")

"""The study: one run for each variant and seed, all in one folder. A cell configures one run.

    STUDY/study.json    the study's configuration
    STUDY/runs/         a folder for each run; see `layermix.lab.store`

An interrupted study continues with its missing runs. Seeds and variants can be added to a study, in
the same folder. A folder of another study raises an error.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from filelock import FileLock

from layermix.errors import InputError, RunError
from layermix.lab import store
from layermix.lab.data import Dataset
from layermix.lab.models.build import is_own_code, require_trust
from layermix.lab.store import DamagedRun, RunConfig, RunResult
from layermix.lab.store.files import STAGED
from layermix.lab.study_config import (
    FILE,
    LOCK,
    Stage,
    StudyConfig,
    joined_config,
    only_own_files,
    read_study,
    write_study,
)

_SIZES = ("train", "val", "test", "classes")  # equal for all splits of the same data
_WAIT = 60.0  # seconds for another process that changes the configuration


class StudyFolder:
    """A study and its folder, which must be new, be empty, or belong to the same study.

    If it has the same study, seeds and variants of `config` are added to it. `open` reads the study
    in a folder. Its model may be code of the user, which is only imported if `is_trusted`: if the
    model was named by the caller, or `open` was called with ``trust=True``.
    """

    is_trusted = True

    def __init__(self, config: StudyConfig, folder: Path) -> None:
        self._use(config, folder)
        with store.disk_errors(f"cannot write the study in {folder}"):
            if folder.exists() and not folder.is_dir():
                raise InputError(f"the output folder {folder} is a file: use another --out")
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / LOCK, timeout=_WAIT):
                self._join()
            self.runs.mkdir(exist_ok=True)

    def _use(self, config: StudyConfig, folder: Path) -> None:
        self.config, self.folder, self.runs = config, folder, folder / "runs"
        self.grown: tuple[Stage, ...] = ()  # stages with finished runs, before it was extended
        self._problems: dict[str, tuple[Any, str | None]] = {}

    def _join(self) -> None:
        """Join the study in the folder, or write a new one."""
        config, folder = self.config, self.folder
        if not (folder / FILE).exists():
            if not only_own_files(folder):
                raise InputError(
                    f"the output folder {folder} is not empty and has no {FILE}: use another --out"
                )
            for path in folder.glob(f"{STAGED}*"):
                path.unlink()
            return write_study(folder, config)
        known, self.grown = read_study(folder)
        self.config = known
        finished = self.finished()
        self.config = joined_config(known, config, {cell.variant for cell in finished}, folder)
        if (self.config.variants, self.config.seeds) != (known.variants, known.seeds):
            if finished:
                self.grown += (Stage(known.variants, known.seeds, len(finished)),)
            write_study(folder, self.config, self.grown)
        return None

    @classmethod
    def open(cls, folder: Path, *, trust: bool = False) -> Self:
        """Open the study in a folder, and change nothing there; `trust` its model (see above)."""
        if not (folder / FILE).exists():
            is_run = (folder / store.MANIFEST).exists()
            hint = "it is the folder of one run. A study's" if is_run else "a study's"
            if inner := sorted(each.parent.name for each in folder.glob(f"*/{FILE}")):
                names = ", ".join(inner)
                raise InputError(f"{folder} has a study for each level of a factor: name {names}")
            raise InputError(f"there is no study in {folder}: {hint} folder has a {FILE}")
        config, grown = read_study(folder)
        study = cls.__new__(cls)
        study._use(config, folder)
        study.grown, study.is_trusted = grown, trust or not is_own_code(config.model)
        return study

    def require_trust(self) -> None:
        """Raise an `InputError` if the model is code that was not trusted."""
        if not self.is_trusted:
            require_trust(self.config.model, self.folder)

    def cells(self) -> Iterator[RunConfig]:
        """Yield the configuration of each run: all variants with one seed, then with the next."""
        config = self.config
        recipes = {
            variant: replace(config.recipe, **config.tuned.get(variant, {}))
            for variant in config.variants
        }
        for seed in config.seeds:
            for variant in config.variants:
                yield RunConfig(
                    config.data, config.model, recipes[variant], variant, seed, config.train
                )

    def path(self, cell: RunConfig) -> Path:
        """Return the folder of a run, which exists only if the run is finished."""
        return self.runs / cell.folder_name

    def finished(self) -> list[RunConfig]:
        """Return the configurations of the finished runs whose records are undamaged."""
        return [cell for cell, problem in self._found() if problem is None]

    def damaged(self) -> dict[RunConfig, str]:
        """Return the runs whose records are damaged or those of another run, with the reason."""
        return {cell: problem for cell, problem in self._found() if problem is not None}

    def missing(self) -> list[RunConfig]:
        """Return the configurations of the runs that are not finished, or damaged."""
        finished = set(self.finished())
        return [cell for cell in self.cells() if cell not in finished]

    def set_aside(self, cell: RunConfig, problem: str) -> str:
        """Rename the folder of a damaged run, so that it can be trained again; return a message."""
        aside = store.set_aside(self.path(cell), problem)
        return f"the run {cell.name} is damaged: {problem}. It is now {aside}, and is trained again"

    def set_aside_damaged(self, cells: Iterable[RunConfig]) -> list[str]:
        """Check the hashes of all files of runs; set damaged ones aside, and return messages."""
        found = []
        for cell in cells:
            try:
                store.verify(self.path(cell))
                self._read(cell)
            except DamagedRun as error:
                if self.path(cell).exists():
                    found.append(self.set_aside(cell, str(error)))
        return found

    def run_results(self) -> dict[RunConfig, RunResult]:
        """Read the results of all finished runs; damaged ones are left out, see `damaged`.

        Raises
        ------
        RunError
            If the data changed between runs.
        """
        found: dict[RunConfig, RunResult] = {}
        same_seed: dict[int, RunResult] = {}
        for cell in self._with_folder():
            try:
                result = found[cell] = self._read(cell)
            except DamagedRun:
                continue
            self._require_sizes(cell.name, result.sizes, next(iter(found.values())).sizes)
            usual = same_seed.setdefault(cell.seed, result).digests
            self._require_digests(cell.name, result.digests, usual)
        return found

    def require_results(self) -> dict[RunConfig, RunResult]:
        """Read the results of all finished runs; an `InputError` is raised if there are none."""
        if results := self.run_results():
            return results
        found = next((f"{c.name}: {problem}" for c, problem in self.damaged().items()), None)
        why = f"undamaged ({found})" if found else "finished yet"
        raise InputError(f"no run of the study in {self.folder} is {why}")

    def _found(self) -> Iterator[tuple[RunConfig, str | None]]:
        """Yield each run that has a folder, and what is wrong with it, or None."""
        for cell in self._with_folder():
            yield cell, self._problem(cell)

    def _with_folder(self) -> Iterator[RunConfig]:
        names = set(os.listdir(self.runs)) if self.runs.exists() else set()
        return (cell for cell in self.cells() if cell.folder_name in names)

    def _problem(self, cell: RunConfig) -> str | None:
        """Return what is wrong with a run; its files are only read if they changed."""
        known = self._problems.get(cell.folder_name)
        if known is None or known[0] != store.state_of(self.path(cell)):
            with suppress(DamagedRun):
                self._read(cell)
        return self._problems[cell.folder_name][1]

    def _read(self, cell: RunConfig) -> RunResult:
        """Read the result of a run; a damaged one raises a `DamagedRun`."""
        path, problem = self.path(cell), None
        state = store.state_of(path)
        try:
            config, result = store.read_run(path)
            store.require_settings(config, cell)
            return result
        except DamagedRun as error:
            problem = str(error)
            raise
        finally:
            self._problems[cell.folder_name] = (state, problem)

    def require_data(self, data: Dataset, seed: int) -> None:
        """Raise a `RunError` if the data of a seed are not those of the finished runs."""
        cells = self.finished()
        for cell in [cell for cell in cells if cell.seed == seed] or cells[:1]:
            known = store.read_result(self.path(cell))
            self._require_sizes("a new run", data.sizes, known.sizes)
            if cell.seed == seed:
                self._require_digests("a new run", data.digests, known.digests)

    def _require_digests(self, name: str, digests: dict[str, str], usual: dict[str, str]) -> None:
        if changed := [part for part in digests if digests[part] != usual.get(part)]:
            raise RunError(
                f"the data of the study in {self.folder} changed: {name} has other {changed[0]} "
                "data than the runs of the same seed. Start a new study with another --out"
            )

    def _require_sizes(self, name: str, sizes: dict[str, int], usual: dict[str, int]) -> None:
        if changed := {k: v for k, v in sizes.items() if k in _SIZES and v != usual[k]}:
            kind, size = next(iter(changed.items()))
            raise RunError(
                f"the data of the study in {self.folder} changed: {name} has {kind} = {size} "
                f"instead of {usual[kind]}. Start a new study with another --out"
            )

    def failed(self) -> dict[RunConfig, str]:
        """Return the runs that failed or were stopped, and are not finished, with the reason."""
        finished, found = set(self.finished()), {}
        for cell in self.cells():
            attempts = [] if cell in finished else store.read_attempts(self.path(cell))
            if attempts and attempts[-1].get("end"):
                found[cell] = str(attempts[-1]["end"])
        return found

    def keeps_features(self, cell: RunConfig) -> bool:
        """Return True for the run that saves activations: the first variant with the first seed."""
        return (cell.variant, cell.seed) == (self.config.variants[0], self.config.seeds[0])

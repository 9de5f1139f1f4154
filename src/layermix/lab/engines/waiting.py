"""The runs of a study that this process may train, in an order with few conflicts.

If a thousand processes tried all runs in the order of the study, each would try those of all others
before a free one. A list of the folder shows which runs other processes have begun.
"""

import os
import random

from layermix.lab.store import RunConfig
from layermix.lab.store.run_writer import UNFINISHED
from layermix.lab.study import StudyFolder

_TRIED = 16  # begun runs that are tried, because their process may have ended


class WaitingRuns:
    """Runs of a study that are neither finished nor claimed by this process."""

    def __init__(self, study: StudyFolder) -> None:
        self._study = study
        self._cells: dict[str, RunConfig] = {}
        self._is_first = True

    def __len__(self) -> int:
        return len(self._cells)

    def add(self, *cells: RunConfig) -> None:
        """Add runs, at the end."""
        self._cells |= {cell.folder_name: cell for cell in cells}

    def remove(self, cell: RunConfig) -> None:
        """Remove a run."""
        del self._cells[cell.folder_name]

    def clear(self) -> None:
        """Remove all runs."""
        self._cells.clear()

    def listed(self) -> tuple[list[RunConfig], list[RunConfig]]:
        """Return the runs that are finished meanwhile, and the others in the order to claim them.

        At first, those that were begun come first, and then new ones; later, begun ones are the
        last. Of many, a random sample is tried: those of lost processes are found by the last
        processes at work, which see no others. Alone, a process takes new runs in the order of the
        study; with others, it chooses at random among the next ones, as many as runs are begun.
        """
        names = set(os.listdir(self._study.runs))
        finished, begun, new = list[RunConfig](), list[RunConfig](), list[RunConfig]()
        for name, cell in self._cells.items():
            kind = finished if name in names else begun if name + UNFINISHED in names else new
            kind.append(cell)
        tried = begun if len(begun) <= _TRIED else random.sample(begun, _TRIED)
        near = new[: len(begun) + 1]
        random.shuffle(near)
        others = [*near, *new[len(near) :]]
        is_first, self._is_first = self._is_first, False
        return finished, [*tried, *others] if is_first else [*others, *tried]

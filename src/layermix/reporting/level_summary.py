"""The summaries of the studies of all levels of a factor."""

from pathlib import Path
from typing import NamedTuple

from layermix.errors import InputError
from layermix.lab.factors import Level, level_name, open_factors
from layermix.reporting.study_summary import summarize
from layermix.reporting.summary import Summary


class LevelSummary(NamedTuple):
    """The summary of the study of one level."""

    level: Level
    summary: Summary

    @property
    def name(self) -> str:
        """The name of the level and of its folder."""
        return level_name(self.level)


def summarize_factors(folder: Path) -> list[LevelSummary]:
    """Summarize the studies of all levels that have finished runs."""
    found = [
        LevelSummary(level, summarize(study))
        for level, study in open_factors(folder) or []
        if study.finished()
    ]
    if not found:
        raise InputError(f"no study in {folder} has a finished run: repeat the command")
    return found

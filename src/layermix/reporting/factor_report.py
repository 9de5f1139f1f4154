"""The report over a factor: the results of each variant over epochs, training size or label noise.

The studies of all levels have reports of their own in their subfolders, which this one links.
"""

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup
from rich.console import Console

import layermix
from layermix.errors import InputError
from layermix.experiments.display import print_text, show_status
from layermix.experiments.factors import Level, level_name, open_factors
from layermix.experiments.store import write_json
from layermix.reporting import text
from layermix.reporting.figures.factor_curves import factor_figures
from layermix.reporting.show import terminal_table
from layermix.reporting.summary import Summary, summarize
from layermix.reporting.tables.factor_tables import claims_table, levels_table
from layermix.reporting.write import read_css


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


def show_factors(folder: Path, console: Console) -> None:
    """Write the report over the factors, and print the claim at each level and its path."""
    with show_status(console, "Building the report over all levels"):
        found = summarize_factors(folder)
        path = write_factors_report(found, folder)
    console.print()
    console.print(terminal_table(claims_table(found)))
    print_text(console, f"Report: {path}")


def write_factors_report(found: list[LevelSummary], folder: Path) -> Path:
    """Write ``report.html``, ``report.md`` and ``results.json`` over the factors."""
    content = [
        {
            "level": each.level,
            "folder": each.name,
            "verdict": asdict(each.summary.verdict),
            "text": text.verdict_text(each.summary),
        }
        for each in found
    ]
    write_json(folder / "results.json", content)
    figures = factor_figures(found)
    (folder / "figures").mkdir(exist_ok=True)
    for figure in figures:
        file = folder / "figures" / f"{figure.name}.svg"
        file.write_text(figure.standalone(), encoding="utf-8")
    for name in ("html", "md"):
        page = text.ENVIRONMENT.get_template(f"factors.{name}.j2").render(
            levels=found,
            first=found[0].summary,
            figures=figures,
            claims=claims_table(found),
            table=levels_table(found),
            texts={each.name: text.verdict_text(each.summary) for each in found},
            version=layermix.__version__,
            css=Markup(read_css()),
            markup=Markup,
        )
        (folder / f"report.{name}").write_text(page, encoding="utf-8")
    return folder / "report.html"

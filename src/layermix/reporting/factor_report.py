"""The report over a factor: the results of each variant over epochs, training size or label noise.

The studies of all levels have reports of their own in their subfolders, which this one links.
"""

from dataclasses import asdict
from pathlib import Path

from markupsafe import Markup
from rich.console import Console

import layermix
from layermix.lab.display import print_text, show_status
from layermix.lab.store import write_json
from layermix.reporting import text
from layermix.reporting.figures.factor_curves import factor_figures
from layermix.reporting.level_summary import LevelSummary, summarize_factors
from layermix.reporting.show import terminal_table
from layermix.reporting.tables.factor_tables import claims_table, levels_table
from layermix.reporting.write import read_css


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

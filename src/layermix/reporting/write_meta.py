"""Write and show the result over several studies: JSON, Markdown and a figure."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from layermix.lab.display import print_text
from layermix.lab.store import write_json
from layermix.reporting import text
from layermix.reporting.figures.meta_scatter import meta_figure
from layermix.reporting.formatting import (
    ABSENT,
    correlation,
    correlation_difference,
    heading,
    interval,
    p_value,
    plural,
)
from layermix.reporting.meta_study import MetaStudy
from layermix.reporting.show import terminal_table
from layermix.reporting.statistics import Estimate
from layermix.reporting.tables.table import Cell, Column, Row, Table


def show_meta(found: MetaStudy, folder: Path, console: Console) -> None:
    """Write ``meta.json``, ``meta.md`` and ``meta.svg`` into a folder; print the result."""
    write_json(folder / "meta.json", asdict(found))
    table, texts = meta_table(found), text.meta_text(found)
    figures = meta_figure(found)
    for figure in figures:
        (folder / f"{figure.name}.svg").write_text(figure.standalone(), encoding="utf-8")
    page = text.ENVIRONMENT.get_template("meta.md.j2")
    content = page.render(found=found, table=table, texts=texts, figures=figures)
    (folder / "meta.md").write_text(content, encoding="utf-8")
    if found.result:
        console.print(terminal_table(table))
    print_text(console, " ".join(texts), fold=True)
    print_text(console, f"Report: {folder / 'meta.md'}")


def meta_table(found: MetaStudy) -> Table:
    """Return the correlations of each pair, and their means over pairs."""
    measure = heading(found.plan.measure)
    columns = [Column("data and model"), Column("layers"), Column(f"rho of {measure}")]
    columns += [Column("rho of depth"), Column("difference"), Column("p", "sign-flip test")]
    if found.result is None:
        return Table("meta", "Rank correlation with the gain from mixing", columns, [])
    result, rows = found.result, []
    for pair, (name, rho) in zip(found.pairs, result.rhos.items(), strict=True):
        depth = result.depth_rhos[name]
        cells = [str(len(pair.names)), correlation(rho), correlation(depth)]
        cells.append(correlation_difference(rho - depth))
        rows.append(Row(name, "", "", [*map(Cell, cells), Cell("")]))
    over = f"mean over {plural(len(rows), 'pair')}"
    mean = [Cell(""), _cell(result.measure, correlation), Cell(ABSENT), Cell(ABSENT)]
    rows.append(Row(over, "", "best", [*mean, Cell(p_value(result.p))]))
    lead = [Cell(""), Cell(ABSENT), Cell(ABSENT), _cell(result.lead, correlation_difference)]
    rows.append(Row("mean difference from depth", "", "", [*lead, Cell(p_value(result.p_lead))]))
    caption = (
        f"Rank correlation with the gain from mixing, across layers; that of {measure} times its "
        "expected sign"
    )
    return Table("meta", caption, columns, rows)


def _cell(found: Estimate, show: Callable[[float], str]) -> Cell:
    return Cell(show(found.mean), interval(found, show))

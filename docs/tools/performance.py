"""Draw the figure of docs/performance.md from the tables of the benchmarks `mix` and `train`."""

import csv
from pathlib import Path

from docs.tools.ratios import Group, Ratio, ratios_figure

DOCS = Path(__file__).parent.parent
TABLES = DOCS.parent / "benchmarks"
OUT = DOCS / "pictures/performance.svg"
CONDITIONS = "epyc-*-torch2.14.1-cpu"


def rows(what: str) -> list[dict[str, str]]:
    """Return the rows of a benchmark's table."""
    (path,) = TABLES.glob(f"{what}-{CONDITIONS}.csv")
    with path.open() as file:
        return list(csv.DictReader(file))


def ratio(name: str, row: dict[str, str], column: str) -> Ratio:
    """Return the time ratio in a table row, with its minimum and maximum."""
    return Ratio(name, float(row[column]), float(row["least"]), float(row["most"]))


def groups() -> list[Group]:
    """Return the groups of time ratios to draw: the mix, other libraries, and training loops."""
    mixes = [row for row in rows("mix") if row["what"] != "copy_"]
    floor = [
        ratio(f"{row['what']} {row['at']}", row, "/ copy")
        for row in mixes
        if row["pass"] == "forward"
    ]
    peers = [
        ratio(row["what"], row, "/ mix")
        for row in mixes
        if row["pass"] == "with labels" and row["what"] != "mix"
    ]
    loops = {
        model: [
            ratio(row["what"], row, "times as slow")
            for row in rows("train")
            if row["model"] == model and row["what"] != "layermix"
        ]
        for model in ("resnet-small", "resnet18")
    }
    return [
        Group("mix over copy", floor),
        Group("libraries over our mix", peers),
        *(Group(f"loops over ours, {model}", found) for model, found in loops.items()),
    ]


def draw_performance() -> Path:
    """Draw the figure to a file, and return its path."""
    figure = ratios_figure(
        "performance",
        groups(),
        "times as long",
        "Each dot is the median of the repetitions, each line reaches from least to most.",
    )
    OUT.write_text(figure.standalone(), encoding="utf-8")
    return OUT

"""Tests that the numbers in the cards of blends equal the tables and the measurements."""

import csv
import re
from pathlib import Path

import pytest

from documents import ROOT
from layermix.mixing import BLENDS

CARDS = ROOT / "docs/blends"
INDEX = CARDS / "README.md"
SIGNED = r"([+−]\d+\.\d\d)"
DIFFERENCE = rf"{SIGNED}(?: points,?)? \(?(?:95% interval )?{SIGNED} to {SIGNED}"


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def table_rows(page: Path) -> list[list[str]]:
    """Return the rows of all tables of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return [cells(line) for line in lines if line.strip().startswith("| ")]


@pytest.mark.parametrize("name", BLENDS)
def test_costs_of_a_card_equal_the_index(name: str) -> None:
    index = {(what, at): rest for what, at, *rest in table_rows(INDEX) if len(rest) == 4}
    found = [row for row in table_rows(CARDS / f"{name}.md") if "(128, " in row[0]]
    assert found
    for what, *costs in found:
        shape, _, kind = what.partition("), ")
        at = {"maps": "map", "features": "features"}[shape.split()[0]]
        assert costs == index[", ".join(filter(None, (name, kind))), at]


def test_costs_of_the_index_equal_the_measurements() -> None:
    (path,) = (ROOT / "benchmarks").glob("blends-*.csv")
    with path.open(encoding="utf-8") as file:
        measured = {(row["what"], row["at"], row["pass"]): row for row in csv.DictReader(file)}
    index = [row for row in table_rows(INDEX) if (*row[:2], "forward") in measured]
    assert len(index) == len({key[:2] for key in measured if key[0] != "copy"})
    columns = [(kind, base) for base in ("linear", "copy") for kind in ("forward", "and backward")]
    for what, at, *costs in index:
        for cost, (kind, base) in zip(costs, columns, strict=True):
            row = measured[what, at, kind]
            exact = [float(row[f"{part}/ {base}"]) for part in ("", "least ", "most ")]
            shown = [float(text) for text in re.findall(r"[\d.]+", cost.replace(",", ""))]
            assert shown == pytest.approx(exact[: len(shown)], rel=0.05)


@pytest.mark.parametrize("name", sorted({*BLENDS} - {"multimix"}))  # it has a separate table
def test_differences_on_digits_equal_the_tables(name: str) -> None:
    pages = (INDEX, ROOT / "docs/results.md")
    tables = "".join(page.read_text(encoding="utf-8") for page in pages)
    text = " ".join((CARDS / f"{name}.md").read_text(encoding="utf-8").split())
    found = set(re.findall(DIFFERENCE, text))
    assert found
    assert found <= set(re.findall(DIFFERENCE, tables))

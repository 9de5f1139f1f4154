"""Tests of the tables of a report: cells, clipped intervals, and equal rows in every format."""

import io
import re

import pytest
from rich.console import Console

from layermix.geometry import GAP_QUANTITIES, QUANTITIES
from layermix.reporting import tables
from layermix.reporting.formatting import significant
from layermix.reporting.show import terminal_table
from layermix.reporting.statistics import over_studies
from layermix.reporting.text import geometry_notes
from layermix.reporting.write import render
from made_summaries import USUAL, made_summary


def by_heading(table: tables.Table) -> dict[str, list[tables.Cell]]:
    return {row.heading: row.cells for row in table.rows}


def test_geometry_table_has_mean_and_interval_of_every_quantity() -> None:
    summary = made_summary()
    table = tables.geometry_table(summary)
    assert table is not None
    assert summary.unmixed is not None
    names = [column.heading for column in table.columns]
    assert names == ["quantity", "input", "block1", "block2", "block3", "final"]
    assert [row.meaning for row in table.rows] == [q.meaning for q in QUANTITIES.values()]
    values = summary.unmixed.geometry_end["cka"]["final"].values()
    cell = dict(zip(QUANTITIES, table.rows, strict=True))["cka"].cells[-1]
    assert cell.text == significant(sum(values) / len(values))
    assert re.fullmatch(r"\d\.\d+ to \d\.\d+", cell.interval)


def test_intervals_are_clipped_at_the_bounds_with_a_note() -> None:
    summary = made_summary(seeds=2)
    assert summary.unmixed is not None
    ends = summary.unmixed.geometry_end
    ends["intrusion"]["final"] = {0: 0.0, 1: 0.04}
    ends["knn"]["block1"] = {0: 1.0, 1: 0.9}
    table = tables.geometry_table(summary)
    assert table is not None
    rows = dict(zip(QUANTITIES, table.rows, strict=True))
    assert rows["intrusion"].cells[-1] == ("0.0200", "0.00 to 0.274")
    assert rows["knn"].cells[1] == ("0.950", "0.315 to 1.00")
    (note,) = [note for note in geometry_notes(ends) if "clipped" in note]
    assert re.search(r"intrusion \([^)]*final\), .*kNN", note)


def test_values_fixed_by_construction_have_a_note() -> None:
    summary = made_summary()
    assert summary.unmixed is not None
    ends = summary.unmixed.geometry_end
    before = len(geometry_notes(ends))
    for name, values in ends.items():
        if name not in GAP_QUANTITIES:
            values["input"] = dict.fromkeys(values["input"], 0.5)
    ends["gap"]["final"] = dict.fromkeys(ends["gap"]["final"], 0.0)
    at_input, at_final = geometry_notes(ends)[before : before + 2]
    assert "interpolation gap and loss of the mix differ" in at_input
    assert "zero by construction at final" in at_final


def test_non_finite_values_have_a_note() -> None:
    summary = made_summary(seeds=3)
    assert summary.unmixed is not None
    ends = summary.unmixed.geometry_end
    del ends["nc1"]["block1"][2], ends["intrusion"]
    notes = " ".join(geometry_notes(ends))
    assert "NC1 (block1: 2 of 3 seeds)." in notes
    assert "no layer has a finite value: intrusion." in notes


def test_difference_table_has_a_row_for_every_planned_variant() -> None:
    summary = made_summary(waiting=("logits",))
    first = next(tables.difference_tables(summary))
    assert [row.heading for row in first.rows] == [*USUAL[1:], "logits"]
    assert {cell.text for cell in first.rows[-1].cells} == {"–"}


def test_ranks_table_has_rho_interval_p_and_expected_sign() -> None:
    table = tables.ranks_table(made_summary().prediction)
    rows = by_heading(table)
    assert len(rows) == len(QUANTITIES) + 1
    sign, rho, seeds, p, holm = rows["SNNL / chance"]
    assert (sign.text, seeds.text) == ("−", "8")
    assert re.fullmatch(r"−0\.\d\d", rho.text)
    assert re.fullmatch(r"−\d\.\d\d to −0\.\d\d", rho.interval)
    assert all(re.fullmatch(r"[−+]?\d(\.\d+)?", cell.text) for cell in (p, holm))
    assert [row.mark for row in table.rows] == [""] * len(QUANTITIES) + ["baseline"]
    assert rows["depth, the baseline"][0].text == "±"
    assert dict(table.columns)["p"] == "over the orders of 5 layers"


def test_ranks_table_mentions_random_orders() -> None:
    layers = tuple(f"block{k}" for k in range(9))
    summary = made_summary(variants=("none", *layers), blocks=layers)
    columns = dict(tables.ranks_table(summary.prediction).columns)
    assert columns["p"] == "over 20,000 random orders of 9 layers"


def test_markdown_report_has_the_same_tables() -> None:
    summary = made_summary()
    content = render("report.md", summary, [])
    for table in (tables.geometry_table(summary), tables.ranks_table(summary.prediction)):
        assert table is not None
        assert f"| {' | '.join(column.heading for column in table.columns)} |" in content
        for row in table.rows:
            assert re.search(rf"\n\| (\*\*)?{re.escape(row.heading)}", content)
    names = made_summary(variants=("none", "a|b"))
    assert "\n| a\\|b |" in render("report.md", names, [])
    html = render("report.md", made_summary(("none", "<b>"), data="<b>"), [])
    assert not re.search(r"(?<!\\)<b", html.partition("```sh")[0])


@pytest.mark.parametrize(
    "settings", [{"geometry": False}, {"variants": ("input", "block1", "final")}]
)
def test_unmeasured_geometry_has_no_table(settings) -> None:
    assert tables.geometry_table(made_summary(**settings)) is None


def test_overview_table_has_the_gain_over_no_mixing() -> None:
    summary = made_summary(waiting=("auto",), planned_seeds=9)
    rows = by_heading(tables.overview_table(summary))
    gap = next(gap for gap in summary.differences["none"] if gap.variant == "final")
    assert rows["final"][2].text == f"{100 * gap.estimate.mean:+.2f}"
    assert rows["none"][2].text == ""
    assert (rows["none"][0].text, rows["auto"][0].text, rows["auto"][1].text) == ("8/9", "0/9", "–")


def test_several_studies_print_one_table_on_a_terminal() -> None:
    predictions = {"runs/[one]": made_summary().prediction, "runs/two": made_summary().prediction}
    ranks = over_studies(predictions)
    shown = io.StringIO()
    table = terminal_table(tables.studies_table(predictions, ranks), stacked=True)
    Console(width=110, file=shown).print(table)
    lines = shown.getvalue().splitlines()
    assert "runs/[one]" in lines[2]
    assert "mean over studies" in lines[2]
    (row,) = [line for line in lines if "SNNL / chance" in line]
    assert len(re.findall(r"−0\.\d\d", row)) == 3


def test_json_results_have_separate_timings() -> None:
    content = made_summary().to_json()
    assert content["prediction"]["ranks"][0]["quantity"] == "snnl"
    assert content["prediction"]["layers"] == list(USUAL[1:-1])
    assert content["variants"][0]["geometry_end"]["nc1"]["final"].keys() == set(range(8))
    assert content["verdict"]["claim"]["status"] == "holds"
    assert content["variants"][0]["train_loss"][0].keys() == {"epoch", "mean", "low", "high"}
    assert "timings" not in content["variants"][0]
    assert content["timings"].keys() == set(USUAL)

"""Tests of the tables of a report: cells, clipped intervals, and equal rows in every format."""

import re

import numpy as np
import pytest

from layermix.geometry import GAP_QUANTITIES, QUANTITIES
from layermix.reporting.formatting import significant
from layermix.reporting.tables import Table, overview_table
from layermix.reporting.tables.geometry_table import geometry_table
from layermix.reporting.tables.table import Cell
from layermix.reporting.tables.verdict_tables import claim_table, differences_table, norms_table
from layermix.reporting.text import geometry_notes
from layermix.reporting.write import render
from made_summaries import USUAL, made_summary, summary_of


def by_heading(table: Table) -> dict[str, list[Cell]]:
    return {row.heading: row.cells for row in table.rows}


def test_geometry_table_has_mean_and_interval_of_every_quantity() -> None:
    summary = made_summary()
    table = geometry_table(summary)
    assert table is not None
    assert summary.unmixed is not None
    names = [column.heading for column in table.columns]
    assert names[:6] == ["quantity", "input", "block1", "block2", "block3", "final"]
    assert [row.meaning for row in table.rows] == [q.meaning for q in QUANTITIES.values()]
    values = summary.unmixed.geometry_end["cka"]["final"].values()
    cell = dict(zip(QUANTITIES, table.rows, strict=True))["cka"].cells[4]
    assert cell.text == significant(sum(values) / len(values))
    assert re.fullmatch(r"\d\.\d+ to \d\.\d+", cell.interval)


def test_intervals_are_clipped_at_the_bounds_with_a_note() -> None:
    summary = made_summary(seeds=2)
    assert summary.unmixed is not None
    ends = summary.unmixed.geometry_end
    ends["intrusion"]["final"] = {0: 0.0, 1: 0.04}
    ends["knn"]["block1"] = {0: 1.0, 1: 0.9}
    table = geometry_table(summary)
    assert table is not None
    rows = dict(zip(QUANTITIES, table.rows, strict=True))
    assert rows["intrusion"].cells[4] == ("0.0200", "0.00 to 0.274")
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


def test_differences_table_has_a_row_for_every_planned_variant() -> None:
    table = differences_table(made_summary(waiting=("logits",)))
    assert table is not None
    assert [row.heading for row in table.rows] == [*USUAL[1:], "logits"]
    assert {cell.text for cell in table.rows[-1].cells} == {"–"}
    accuracy, verdict = table.rows[-2].cells[1:3]
    assert re.fullmatch(r"[+−]\d\.\d\d to [+−]\d\.\d\d", accuracy.interval)
    assert verdict.text in ("better", "worse", "practically equal", "undecided")
    assert verdict.interval.startswith("p ")


def test_norms_table_has_the_change_by_clean_statistics() -> None:
    summary = made_summary(("none", "final"))
    table = norms_table(summary)
    assert table is not None
    row, cells = summary.variants[1], by_heading(table)["final"]
    change = np.mean(np.array(row.clean["accuracy"].values) - row.test["accuracy"].values)
    assert cells[2].text == f"{100 * change:+.2f}".replace("-", "−")
    assert by_heading(table)["none"][3].text == "–"


def test_claim_table_has_the_difference_of_differences() -> None:
    trained = {"input": [0.90 + 0.001 * k for k in range(8)], "final": [0.93] * 8}
    clean = {"input": [0.92] * 8, "final": [0.93] * 8}
    table = claim_table(summary_of(trained, clean=clean))
    assert table is not None
    rows = by_heading(table)
    assert [rows[name][0].text for name in rows] == ["+2.65", "+1.00", "+1.65"]
    assert [rows[name][1].text for name in rows] == ["better", "better", "–"]


def test_geometry_table_marks_quantities_that_are_not_reliable() -> None:
    table = geometry_table(made_summary())
    assert table is not None
    names = [column.heading for column in table.columns]
    assert names[-3:] == ["reliability, N = 256", "reliability, N = 128", "agreement"]
    assert [cell.text for cell in table.rows[0].cells[-3:]] == ["+0.90", "+0.60 ✗", "+0.80"]


def test_markdown_report_has_the_same_tables() -> None:
    summary = made_summary()
    content = render("report.md", summary, [])
    for table in (geometry_table(summary), differences_table(summary)):
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
    assert geometry_table(made_summary(**settings)) is None


def test_overview_table_has_the_gain_over_no_mixing() -> None:
    summary = made_summary(waiting=("auto",), planned_seeds=9)
    rows = by_heading(overview_table(summary))
    gap = summary.difference("final", "accuracy")
    assert gap is not None
    assert rows["final"][2].text == f"{100 * gap.estimate.mean:+.2f}"
    assert rows["none"][2].text == ""
    assert (rows["none"][0].text, rows["auto"][0].text, rows["auto"][1].text) == ("8/9", "0/9", "–")


def test_json_results_have_separate_timings() -> None:
    content = made_summary().to_json()
    assert content["verdict"]["family"][0]["variant"] == "input"
    assert content["look"]["planned"] == (8,)
    assert content["variants"][0]["geometry_end"]["nc1"]["final"].keys() == set(range(8))
    assert content["verdict"]["claim"]["status"] == "holds"
    assert content["variants"][0]["train_loss"][0].keys() == {"epoch", "mean", "low", "high"}
    assert "timings" not in content["variants"][0]
    assert content["timings"].keys() == set(USUAL)

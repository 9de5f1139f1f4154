"""What a report says of layers, in every form: HTML, Markdown, terminal."""

import io
import re

import pytest
from made_summaries import HOSTILE, USUAL, made_summary
from rich.console import Console
from test_html import Page

from layermix.geometry.quantities import QUANTITIES
from layermix.lab import figures
from layermix.lab.answer.studies import over_studies
from layermix.lab.answer.summary import Summary
from layermix.lab.answer.words import significant
from layermix.lab.report import terminal
from layermix.lab.report.html import html
from layermix.lab.report.layers import layer_table
from layermix.lab.report.markdown import markdown

AUTO = (*USUAL, "auto")


def drawn(summary: Summary) -> list[figures.Figure]:
    return [
        *figures.snnl(summary),
        *figures.geometry(summary),
        *figures.prediction(summary),
        *figures.weights(summary),
    ]


@pytest.fixture(scope="module")
def summary() -> Summary:
    return made_summary(variants=AUTO)


@pytest.fixture(scope="module")
def page(summary: Summary) -> str:
    return html(summary, drawn(summary))


def test_the_sections_follow_that_of_the_snnl(page: str) -> None:
    found = Page(page).words
    order = [
        "Where are the classes entangled?",
        "The geometry of every layer",
        "Does geometry predict the best layer?",
        "What auto chose",
        "How to read this",
    ]
    places = [found.rindex(part) for part in order]
    assert places == sorted(places)


def test_answer_notes_and_captions_are_in_the_page(summary: Summary, page: str) -> None:
    found = Page(page).words
    told = [*summary.prediction.sentences, *summary.prediction.notes]
    assert all(sentence in found for sentence in told)
    assert all(figure.caption in found for figure in drawn(summary))


def test_every_layer_has_a_mean_and_an_interval_of_every_quantity(summary: Summary) -> None:
    table = layer_table(summary)
    assert [name for name, _ in table.rows] == ["input", "block1", "block2", "block3", "final"]
    assert [each.short for each in table.columns] == [each.short for each in QUANTITIES.values()]
    values = summary.variant("none").geometry_end["cka"]["final"].values()
    cell = table.rows[-1][1][list(QUANTITIES).index("cka")]
    assert cell[0] == significant(sum(values) / len(values))
    assert re.fullmatch(r"\d\.\d+ to \d\.\d+", cell[1])


def test_quantities_are_explained_where_a_mouse_is_and_where_not(page: str) -> None:
    found = Page(page)
    titles = [attributes.get("title") for tag, attributes in found.tags if tag == "abbr"]
    for each in QUANTITIES.values():
        assert f"{each.heading}: {each.meaning}" in titles
        assert f"{each.heading}: {each.meaning}" in found.words


def test_rho_is_shown_with_interval_p_and_expected_sign(page: str) -> None:
    table = page[page.index('<table class="dense ranks">') :].partition("</table>")[0]
    assert table.count("<tr>") == 1 + len(QUANTITIES) + 1
    (row,) = re.findall(r"<tr><th[^>]*>SNNL / chance</th>.*?</tr>", table, re.DOTALL)
    assert "<td>−</td>" in row
    assert re.search(r'<td>−0\.\d\d<span class="interval">−\d\.\d\d to\xa0−0\.\d\d</span>', row)
    assert row.count("<td>") == 6


def test_markdown_has_the_same_tables(summary: Summary) -> None:
    text = markdown(summary, drawn(summary))
    assert "| layer | SNNL / chance ↓ |" in text
    assert "| quantity | expected | rho | rho of means | seeds | p | p (Holm) |" in text
    assert re.search(r"\| SNNL / chance \| − \| −0\.\d\d \(−\d\.\d\d to −0\.\d\d\) \|", text)
    assert str(summary.prediction) in text
    assert all(f"- {note}" in text for note in summary.prediction.notes)
    assert "(figures/prediction-scatter.svg)" in text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"geometry": False}, "the runs without mixing hold no quantity but SNNL"),
        ({"variants": ("input", "final")}, "it takes a finished run without mixing"),
        ({"variants": ("none", "input", "final")}, "here are 2 (input and final)"),
    ],
)
def test_what_is_missing_is_told_of(settings, words) -> None:
    summary = made_summary(**settings)
    assert words in Page(html(summary, drawn(summary))).words
    assert words in markdown(summary, drawn(summary))


def test_runs_with_snnl_alone_still_say_what_it_predicts() -> None:
    summary = made_summary(geometry=False)
    text = html(summary, drawn(summary))
    assert summary.prediction.sentences[0] in Page(text).words
    assert "What auto chose" not in text


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_have_a_report(seeds: int) -> None:
    summary = made_summary(seeds=seeds)
    found = Page(html(summary, drawn(summary)))
    assert sum(tag == "table" for tag, _ in found.tags) == 5


def test_hostile_layers_are_shown_and_not_run() -> None:
    layers = (HOSTILE, "a", "b")
    summary = made_summary(variants=("none", *layers), blocks=layers)
    text = html(summary, drawn(summary))
    assert "<script" not in text
    assert HOSTILE in Page(text).words


def test_results_hold_the_prediction_and_no_timing_with_it(summary: Summary) -> None:
    content = summary.to_json()
    assert content["prediction"]["ranks"][0]["quantity"] == "snnl"
    assert content["prediction"]["layers"] == list(USUAL[1:-1])
    assert content["variants"][0]["geometry_end"]["nc1"]["final"].keys() == set(range(8))
    assert "timings" not in content["variants"][0]


def test_several_studies_are_a_table_on_a_terminal(summary: Summary) -> None:
    found = over_studies({"runs/[one]": summary.prediction, "runs/two": made_summary().prediction})
    text = io.StringIO()
    Console(width=110, file=text).print(terminal.studies_table(found))
    lines = text.getvalue().splitlines()
    assert "runs/[one]" in lines[2]
    assert "mean over studies" in lines[2]
    (row,) = [line for line in lines if "SNNL / chance" in line]
    assert len(re.findall(r"−0\.\d\d", row)) == 3
    assert len([line for line in lines if " to " in line]) == len(found)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (0.98765, "0.988"),
        (12.345, "12.3"),
        (-0.00123, "−0.00123"),
        (1e-14, "1.0e−14"),
        (12345.6, "12,346"),
        (3e9, "3.0e+09"),
    ],
)
def test_three_digits_are_significant(value: float, text: str) -> None:
    assert significant(value) == text

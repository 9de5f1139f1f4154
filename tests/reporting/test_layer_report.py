"""What a report says of layers, in every form: HTML, Markdown, terminal."""

import io
import re

import pytest
from rich.console import Console
from test_html import Page

from layermix.geometry.quantities import GAP_QUANTITIES, QUANTITIES
from layermix.reporting import figures, terminal
from layermix.reporting.formatting import significant
from layermix.reporting.html import html
from layermix.reporting.layers import layer_table
from layermix.reporting.markdown import markdown
from layermix.reporting.statistics.studies import over_studies
from layermix.reporting.summary import Summary
from made_summaries import HOSTILE, USUAL, made_summary

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
    answer = summary.prediction
    told = [*answer.sentences, answer.baseline, *answer.notes]
    assert all(sentence in found for sentence in told)
    assert all(figure.caption in found for figure in drawn(summary))


def test_every_layer_has_a_mean_and_an_interval_of_every_quantity(summary: Summary) -> None:
    table = layer_table(summary)
    assert table.layers == ["input", "block1", "block2", "block3", "final"]
    assert [each for each, _ in table.rows] == list(QUANTITIES.values())
    values = summary.variant("none").geometry_end["cka"]["final"].values()
    cell = dict(zip(QUANTITIES, table.rows, strict=True))["cka"][1][-1]
    assert cell[0] == significant(sum(values) / len(values))
    assert re.fullmatch(r"\d\.\d+ to \d\.\d+", cell[1])


def test_quantities_are_explained_where_a_mouse_is_and_where_not(page: str) -> None:
    titles = [attributes.get("title") for tag, attributes in Page(page).tags if tag == "th"]
    for each in QUANTITIES.values():
        assert titles.count(each.meaning) == 2  # in both tables
        told = f"<dt>{each.heading}&nbsp;{each.arrow}</dt><dd>{each.meaning}</dd>"
        assert told in page.replace("&#39;", "'")


def test_a_quantity_has_one_name_in_all_the_report(page: str) -> None:
    shown = re.findall(r">([^<>]+)<", page)
    for each in QUANTITIES.values():
        if each.short != each.heading:
            assert f"{each.short}&nbsp;{each.arrow}" not in shown
            assert each.short not in shown


def test_every_wide_table_scrolls_in_its_own_box_under_a_hint(page: str) -> None:
    hint = r'<div class="wide [a-z]*">\s*<p class="hint">[^<]+</p>'
    boxes = re.findall(hint + r'\s*<div class="table"[^>]*>\s*<table', page)
    assert len(boxes) == page.count("<table") == 5


def test_an_interval_ends_where_values_must_and_the_report_says_so() -> None:
    summary = made_summary(seeds=2)
    summary.variant("none").geometry_end["intrusion"]["final"] = {0: 0.0, 1: 0.04}
    summary.variant("none").geometry_end["knn"]["block1"] = {0: 1.0, 1: 0.9}
    rows = dict(zip(QUANTITIES, layer_table(summary).rows, strict=True))
    assert rows["intrusion"][1][-1] == ("0.0200", "0.00 to 0.274")
    assert rows["knn"][1][1] == ("0.950", "0.315 to 1.00")
    words = Page(html(summary, drawn(summary))).words
    assert re.search(r"cut at the least or greatest .*intrusion \([^)]*final\), .*kNN", words)


def test_what_is_so_by_construction_is_explained() -> None:
    summary = made_summary()
    same, mixed = layer_table(summary).notes
    assert same.startswith("The same examples are measured at every seed: intervals leave out")
    assert mixed == (
        "Interpolation gap and loss of the mix: of 128 of the examples at most, mixed at the ratio "
        "0.5."
    )
    ends = summary.variant("none").geometry_end
    for name, values in ends.items():
        if name not in GAP_QUANTITIES:
            values["input"] = dict.fromkeys(values["input"], 0.5)
    ends["gap"]["final"] = dict.fromkeys(ends["gap"]["final"], 0.0)
    *_, at_input, at_final = layer_table(summary).notes
    assert "its features are the images themselves" in at_input
    assert at_input.endswith(
        "Only interpolation gap and loss of the mix differ there, for they depend on the whole net."
    )
    assert at_final.startswith("The interpolation gap is zero by construction at final: what")
    for text in (Page(html(summary, drawn(summary))).words, markdown(summary, drawn(summary))):
        assert all(note in text for note in (same, mixed, at_input, at_final))


def test_rho_is_shown_with_interval_p_and_expected_sign(page: str) -> None:
    table = page[page.index('<caption id="prediction-caption">') :].partition("</table>")[0]
    assert table.count("<tr>") == 1 + len(QUANTITIES)
    assert table.count('<tr class="baseline">') == 1
    (row,) = re.findall(r"<tr><th[^>]*>SNNL / chance</th>.*?</tr>", table, re.DOTALL)
    assert "<td>−</td>" in row
    assert re.search(r'<td>−0\.\d\d<span class="interval">−\d\.\d\d to\xa0−0\.\d\d</span>', row)
    assert row.count("<td>") == 6
    told = "mean and 95% interval over seeds; p over the orders of 5 layers</span>"
    assert told in table
    assert '<th scope="col">exact p</th>' in table


def test_where_orders_are_drawn_at_random_p_is_not_called_exact() -> None:
    layers = tuple(f"block{k}" for k in range(9))
    summary = made_summary(variants=("none", *layers), blocks=layers)
    page, text = html(summary, drawn(summary)), markdown(summary, drawn(summary))
    assert "), p = 0.0001 over 20,000 random orders of 9 layers; of all" in Page(page).words
    table = page[page.index('<caption id="prediction-caption">') :].partition("</table>")[0]
    assert "; p over 20,000 random orders of 9 layers</span>" in table
    assert '<th scope="col">p</th>' in table
    assert "| rho of means | seeds | p | p (Holm) |" in text


def test_markdown_has_the_same_tables(summary: Summary) -> None:
    text = markdown(summary, drawn(summary))
    assert "| quantity | input | block1 | block2 | block3 | final |" in text
    assert "\n| SNNL / chance ↓ | " in text
    assert "\n| **depth, the baseline** | ± |" in text
    assert "| quantity | expected | rho | rho of means | seeds | exact p | p (Holm) |" in text
    told = "mean and 95% interval over seeds; p over the orders of 5 layers"
    assert told in text
    assert re.search(r"\| SNNL / chance \| − \| −0\.\d\d \(−\d\.\d\d to −0\.\d\d\) \|", text)
    assert " ".join(summary.prediction.sentences) in text
    assert summary.prediction.baseline in text
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

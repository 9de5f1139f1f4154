"""Tests of the HTML and Markdown reports: complete, self-contained, and safe for any names."""

import re
from html import escape, unescape

import pytest

import layermix
from figure_parts import study_with_features
from html_page import Page
from layermix.geometry import QUANTITIES
from layermix.reporting import Summary, text
from layermix.reporting.figures import Figure, draw_all
from layermix.reporting.formatting import percent
from layermix.reporting.tables.geometry_table import geometry_table
from layermix.reporting.write import render
from made_summaries import HOSTILE, USUAL, made_summary

LONG = tuple(f"encoder.layers.encoder_layer_{index}" for index in range(12))


def render_html(summary: Summary) -> str:
    return render("report.html", summary, [])


def report_texts(summary: Summary) -> list[str]:
    """Return all text paragraphs of a report."""
    unmixed, has_geometry = summary.unmixed, geometry_table(summary) is not None
    return [
        *text.verdict_text(summary),
        *text.verdict_notes(summary),
        *text.warning_texts(summary),
        *(text.geometry_notes(unmixed.geometry_end) if unmixed and has_geometry else []),
    ]


@pytest.fixture(scope="module")
def usual() -> Summary:
    return made_summary(variants=(*USUAL, "auto"))


@pytest.fixture(scope="module")
def figures(usual: Summary, tmp_path_factory: pytest.TempPathFactory) -> list[Figure]:
    return draw_all(study_with_features(tmp_path_factory.mktemp("study")), usual)


@pytest.fixture(scope="module")
def page(usual: Summary, figures: list[Figure]) -> str:
    return render("report.html", usual, figures)


def test_page_has_no_external_resources_and_no_scripts(page: str) -> None:
    bare = re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
    assert not re.search(r"https?:|//[a-z]", bare)
    assert not re.search(r"<script|<link|<iframe|<img|@import|\son\w+=|javascript:", bare)
    assert not re.search(r"url\((?!#)", bare)


def test_rendering_is_deterministic(usual, figures, page) -> None:
    assert render("report.html", usual, figures) == page


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_report_contains_every_text_number_and_caption(usual, figures, name) -> None:
    content = render(name, usual, figures)
    unescaped = re.sub(r"\\([^\w\s])", r"\1", content)
    found = Page(content).text if name == "report.html" else unescaped
    expected = [*report_texts(usual), usual.command, usual.verdict.claim.status]
    expected += [*usual.conditions, *usual.conditions.values(), *(f.caption for f in figures)]
    for row in usual.variants:
        expected += [row.name, *(percent(value) for value in row.accuracy.values())]
    for quantity in QUANTITIES.values():
        expected.append(quantity.heading)
    for each in expected:
        assert each in found, each


def test_report_starts_with_the_verdict_and_ends_with_conditions(usual, page) -> None:
    found = Page(page).text
    headings = re.findall(r"<h[12][^>]*>([^<]+)<", page)
    assert headings[0] == f"Where to mix on {usual.data}?"
    assert headings[1] == "Warnings"  # 8 seeds are too few for so many comparisons
    assert headings[-1] == "Conditions"
    assert found.index(text.verdict_text(usual)[0]) < found.index(headings[2])
    assert f"Made by layermix {layermix.__version__}" in found


def test_page_is_accessible_and_responsive(page, figures) -> None:
    found = Page(page)
    assert ("html", {"lang": "en"}) in found.tags
    assert any(t == "meta" and a.get("name") == "viewport" for t, a in found.tags)
    assert all("scope" in a for t, a in found.tags if t == "th")
    assert all(a.get("aria-label") for t, a in found.tags if t == "svg")
    assert found.count("figure") == found.count("figcaption") == len(figures)
    ids = [a["id"] for _, a in found.tags if "id" in a]
    assert len(ids) == len(set(ids))
    labels = {a["aria-labelledby"] for _, a in found.tags if "aria-labelledby" in a}
    assert labels <= set(ids)
    assert page.count('<div class="table" role="region"') == found.count("table") == 8
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_hostile_names_are_escaped() -> None:
    layers = (HOSTILE, "a", "b")
    content = render_html(made_summary(variants=("none", *layers), data=HOSTILE, blocks=layers))
    assert "<script" not in content
    assert f"Where to mix on {HOSTILE}?" in Page(content).text
    assert escape(HOSTILE, quote=False)[:20] in content
    assert HOSTILE in unescape(content)


@pytest.mark.parametrize(
    ("settings", "status", "count"),
    [
        ({"seeds": 1}, "too few seeds", 8),
        ({"seeds": 2}, "too few seeds", 8),
        ({"variants": ("input", "final")}, "practically equal", 7),
        ({"variants": ("none", "input", "block1")}, "not tested", 7),
        ({"variants": ("block1",)}, "not tested", 4),
        ({"variants": ("none", "input", *LONG), "blocks": LONG}, "not tested", 7),
        ({"collapsed": True}, "holds", 8),
        ({"geometry": False}, "holds", 7),
        ({"variants": ("none", "input"), "waiting": ("final",)}, "not tested", 7),
        ({"variants": ("block1",), "waiting": ("none", "final")}, "not tested", 4),
    ],
)
def test_every_study_type_has_a_report(settings, status, count) -> None:
    summary = made_summary(**settings)
    found, markdown = Page(render_html(summary)), render("report.md", summary, [])
    assert summary.verdict.claim.status == status
    assert status in found.text
    assert found.count("table") == markdown.count("\n| --- ") == count
    for row in summary.variants:
        assert row.name in found.text
    for each in report_texts(summary):
        assert each in found.text
        assert each in markdown
        assert each.endswith(".")
        assert not re.search(r"\s[.,;:)]|\(\s|  |\bNone\b|\.\.", each), each


def test_unfinished_study_lists_missing_runs() -> None:
    summary = made_summary(variants=("none", "input"), waiting=("final",), planned_seeds=12)
    content = render_html(summary)
    found = Page(content).text
    assert "16 of 36 runs" in found
    assert "3 variants × 12 seeds" in found
    assert re.search(r"final</th><td>0/12</td><td>–</td><td>–</td>", content)
    assert content.count("<td>8/12</td>") == 2
    assert "| final | 0/12 | – | – | – | – | – | – |" in render("report.md", summary, [])


def test_p_values_above_twenty_seeds_use_random_sign_flips() -> None:
    two = ("none", "input", "final")  # too few layers for a p-value over layers
    few, many = (Page(render_html(made_summary(two, seeds=n))).text for n in (20, 21))
    assert "exact p" in few
    assert "exact" not in many
    assert "p (100,000 random sign flips) =" in many


def test_missing_figures_have_a_note(usual: Summary) -> None:
    found = Page(render_html(usual)).text
    assert "the run that keeps its features is not finished" in found
    assert all(name in found for name in USUAL)


def test_report_uses_minus_signs_and_bounds_small_p_values() -> None:
    found = Page(render_html(made_summary(seeds=12))).text
    assert "< 0.001" in found
    assert "−" in found
    assert not re.search(r"[\s(]-\d", found[found.index("}\n\n") :])


def test_paragraphs_of_markdown_are_apart(usual, figures) -> None:
    content = render("report.md", usual, figures)
    first, second, *_ = text.verdict_text(usual)
    unescaped = re.sub(r"\\([^\w\s])", r"\1", content)
    assert f"{first}\n\n{second}" in unescaped

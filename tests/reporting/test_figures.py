"""Pictures: computed, the same to the byte, themable, and apart from one another on a page."""

import re
import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest

from figure_parts import SVG, study_with_features, texts
from layermix.reporting import figures
from layermix.reporting.figures import Figure
from layermix.reporting.figures.accuracy import limits
from layermix.reporting.figures.labels import shorten
from layermix.reporting.figures.style import COLORS, WARNING, WIDTH
from layermix.reporting.statistics.stats import estimate
from layermix.reporting.variant import CurvePoint
from made_summaries import HOSTILE, USUAL, made_summary

MANY = tuple(f"encoder.layers.{index}" for index in range(12))


def from_summary(**settings) -> list[Figure]:
    summary = made_summary(**settings)
    return [*figures.accuracy(summary), *figures.curves(summary), *figures.snnl(summary)]


@pytest.mark.parametrize("draw", [from_summary, figures.plane])
def test_figures_are_the_same_to_the_byte_each_time(draw):
    first = draw()
    figures.plane.__globals__["_plane"].cache_clear()
    assert draw() == first


def test_figures_do_not_depend_on_the_users_matplotlib_settings():
    first = from_summary()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9}):
        assert from_summary() == first
        assert matplotlib.rcParams["font.size"] == 30


def test_ink_follows_the_page_and_data_have_colors():
    allowed = {color.lower() for color in (*COLORS, WARNING, "#888888")}
    for figure in [*from_summary(), *figures.plane()]:
        assert "currentColor" in figure.svg
        assert set(re.findall(r"#[0-9a-f]{6}\b", figure.svg)) <= allowed
        for text in ElementTree.fromstring(figure.svg).iter(f"{SVG}text"):
            assert "fill: currentColor" in text.attrib["style"]
        assert not re.search(r"(fill|stroke): ?(black|white)", figure.svg)


@pytest.mark.parametrize("paper", ["#ffffff", "#14171c"])
def test_colors_are_readable_on_light_and_on_dark_paper(paper):
    for color in (*COLORS, WARNING):
        light, dark = sorted((_luminance(color), _luminance(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, color


def _luminance(color: str) -> float:
    shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_identifiers_are_unique_on_one_page_and_all_references_resolve():
    page = "".join(figure.svg for figure in [*from_summary(), *figures.plane()])
    names = re.findall(r' id="([^"]*)"', page)
    assert len(names) == len(set(names))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) == set(names)


def test_figures_load_nothing_and_carry_an_alternative_text():
    for figure in [*from_summary(data=HOSTILE), *figures.plane()]:
        bare = figure.svg.replace("http://www.w3.org/2000/svg", "")
        assert "http" not in bare.replace("http://www.w3.org/1999/xlink", "")
        root = ElementTree.fromstring(figure.svg)
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"] == figure.alt
        assert root.attrib["viewBox"].split()[2] == str(WIDTH)


def test_a_standalone_file_has_a_size_and_suits_dark_viewers():
    file = figures.accuracy(made_summary())[0].standalone()
    root = ElementTree.fromstring(file)
    assert root.attrib["width"] == f"{WIDTH}pt"
    assert "prefers-color-scheme:dark" in file


def test_every_seed_is_a_dot_in_the_accuracy_picture():
    summary = made_summary(seeds=8)
    marks = [f.split("</g>")[0].count("<use") for f in _dots(figures.accuracy(summary)[0])]
    assert marks == [8] * len(summary.variants)


def _dots(figure: Figure) -> list[str]:
    """Return the groups of slightly transparent marks, one for each variant."""
    return re.findall(r"<g style=\"[^\"]*opacity: 0\.85[^\"]*\">.*?</g>", figure.svg, re.DOTALL)


def test_a_collapsed_seed_does_not_hide_the_others_and_is_told_of():
    summary = made_summary(collapsed=True)
    low, high = limits(summary.variants)
    assert 92 < low < high < 98
    assert "Seeds beyond the axis: 1" in figures.accuracy(summary)[0].caption
    assert "Seeds beyond the axis" not in figures.accuracy(made_summary())[0].caption


@pytest.mark.parametrize(
    "settings",
    [
        {"seeds": 1},
        {"variants": ("input", "block1")},
        {"variants": ("none",)},
        {"variants": (*USUAL, *MANY), "blocks": MANY},
        {"variants": (HOSTILE, "none"), "blocks": (HOSTILE, "final")},
        {"variants": ("none", "input"), "waiting": ("final",), "planned_seeds": 12},
    ],
)
def test_every_variant_is_named_whatever_the_study(settings):
    summary = made_summary(**settings)
    for figure in from_summary(**settings):
        ElementTree.fromstring(figure.svg)  # well-formed
        if figure.name in ("accuracy", "curves-loss", "curves-accuracy"):
            for row in summary.variants:
                assert shorten(row.name, 60)[-4:] in "".join(texts(figure))


@pytest.mark.parametrize("level", [0.0, -1e-17])
def test_blocks_that_separate_the_classes_wholly_have_a_picture(level):
    summary = made_summary(seeds=1)
    for row in summary.variants:
        for curve in row.snnl.values():
            curve[:] = [CurvePoint(point.epoch, level, None, None) for point in curve]
    training, end = figures.snnl(summary)
    assert "final 0.000" in training.alt.replace("-0.000", "0.000")
    assert "1.0" in texts(end)


def test_a_value_that_all_variants_share_at_the_input_is_explained():
    summary = made_summary()
    assert "At the input" not in figures.snnl(summary)[1].caption
    for row in summary.variants:
        row.snnl["input"][-1] = CurvePoint(20, 1.5, 1.5, 1.5)
    assert "At the input all variants have the same" in figures.snnl(summary)[1].caption


def test_an_interval_beyond_all_accuracies_is_cut_in_the_picture():
    summary = made_summary(variants=("none", "input"), seeds=2)
    assert "Bars are cut" not in figures.accuracy(summary)[0].caption
    summary.variants[0].test["accuracy"] = estimate([0.97, 0.999])
    assert "Bars are cut at 0 and 100%" in figures.accuracy(summary)[0].caption


def test_curves_of_a_net_that_diverged_have_a_picture():
    summary = made_summary()
    for row in summary.variants:
        row.train_loss[:] = [CurvePoint(p.epoch, 1e30 * p.mean, None, None) for p in row.train_loss]
    loss, _ = figures.curves(summary)
    assert any("e+30" in text for text in texts(loss))
    assert "1e30" not in texts(loss)  # a factor above the axis, where the title is


def test_draw_all_draws_every_picture(tmp_path):
    drawn = figures.draw_all(study_with_features(tmp_path), made_summary())
    pictures = dict.fromkeys(figure.picture for figure in drawn)
    first = ["accuracy", "curves", "plane", "embedding", "snnl", "geometry", "prediction"]
    assert list(pictures) == first


def test_names_in_other_scripts_give_no_warning():
    assert "猫" in figures.accuracy(made_summary(variants=("none", "猫")))[0].svg

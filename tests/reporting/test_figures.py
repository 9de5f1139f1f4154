"""Tests of figures: deterministic output, readable colors, and SVG that is safe in a page."""

import re
import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest

from figure_parts import SVG, study_with_features, texts
from layermix.geometry import QUANTITIES
from layermix.reporting.figures import Figure
from layermix.reporting.figures.gains import gains
from layermix.reporting.figures.intervals import accuracy, central_range, snnl_at_end
from layermix.reporting.figures.style import COLORS, GRAY, WARNING, WIDTH
from layermix.reporting.formatting import heading
from layermix.reporting.statistics import estimate
from layermix.reporting.variant import CurvePoint
from made_summaries import HOSTILE, USUAL, made_summary

MANY = tuple(f"encoder.layers.encoder_layer_{index}" for index in range(12))
NAMES = [
    *("accuracy", "differences", "curves-loss", "curves-accuracy", "curves-seeds", "examples"),
    *("embedding-start", "embedding-end", "snnl-training", "snnl-end", "geometry-training"),
    *("gains", "weights"),
]


def test_figures_are_drawn_in_order_and_byte_identical(draw, tmp_path) -> None:
    study = study_with_features(tmp_path)
    first = draw(variants=(*USUAL, "auto"), study=study)
    assert list(first) == NAMES
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9}):
        assert draw(variants=(*USUAL, "auto"), study=study) == first
        assert matplotlib.rcParams["font.size"] == 30


@pytest.mark.parametrize(
    "settings",
    [
        {"seeds": 1},
        {"variants": ("input", "block1")},
        {"variants": ("none",)},
        pytest.param({"variants": ("none", *MANY, "auto"), "blocks": MANY}, marks=pytest.mark.slow),
        {"variants": (HOSTILE, "none", "a", "b"), "blocks": (HOSTILE, "a", "b")},
        {"geometry": False},
    ],
)
def test_figures_of_every_study_type_are_safe_inline_svg(draw, settings) -> None:
    found = draw(**settings)
    allowed = {*COLORS, GRAY, WARNING}
    for figure in found.values():
        root = ElementTree.fromstring(figure.svg)
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"] == figure.alt
        assert root.attrib["viewBox"].split()[2] == str(WIDTH)
        assert "currentColor" in figure.svg
        assert set(re.findall(r"#[0-9a-f]{6}\b", figure.svg)) <= allowed
        assert not re.search(r"(fill|stroke): ?(black|white)", figure.svg)
        for text in root.iter(f"{SVG}text"):
            assert "fill: currentColor" in text.attrib["style"]
        bare = figure.svg.replace("http://www.w3.org/2000/svg", "")
        assert "http" not in bare.replace("http://www.w3.org/1999/xlink", "")
    page = "".join(figure.svg for figure in found.values())
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(ids)
    shown = texts(found["accuracy"])
    assert all(
        any(text.endswith(row[-4:]) for text in shown) for row in settings.get("variants", USUAL)
    )


@pytest.mark.parametrize(
    "settings",
    [{}, pytest.param({"variants": ("none", *MANY), "blocks": MANY}, marks=pytest.mark.slow)],
)
def test_text_stays_inside_the_figure(draw, settings) -> None:
    for figure in draw(**settings).values():
        for text in ElementTree.fromstring(figure.svg).iter(f"{SVG}text"):
            x, width = float(text.attrib.get("x", 9)), 5.2 * len("".join(text.itertext()))
            style = text.attrib["style"]
            if "rotate" not in text.attrib.get("transform", "") and "anchor: end" in style:
                assert x - width > -4, (figure.name, text.text)
            elif "translate" not in text.attrib.get("transform", "") and "middle" not in style:
                assert x + width < WIDTH + 12, (figure.name, text.text)


@pytest.mark.parametrize("paper", ["#ffffff", "#14171c"])
def test_colors_have_enough_contrast_on_light_and_dark_pages(paper) -> None:
    for color in (*COLORS, WARNING):
        light, dark = sorted((_luminance(color), _luminance(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, color


def _luminance(color: str) -> float:
    shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_standalone_file_has_a_size_and_a_dark_color_scheme(draw) -> None:
    file = draw()["accuracy"].standalone()
    assert ElementTree.fromstring(file).attrib["width"] == f"{WIDTH}pt"
    assert "prefers-color-scheme:dark" in file


def count_seed_markers(figure: Figure) -> list[int]:
    """Return the number of slightly transparent markers of each color."""
    groups = re.findall(r'<g style="([^"]*opacity: 0\.8[^"]*)">\n((?:<use [^>]*/>\n)+)', figure.svg)
    counts: dict[str, int] = {}
    for style, marks in groups:
        color = re.findall(r"fill: (#[0-9a-f]{6})", style)[0]
        counts[color] = counts.get(color, 0) + marks.count("<use")
    return list(counts.values())


def test_every_seed_has_a_marker(draw) -> None:
    found = draw(seeds=8)
    assert count_seed_markers(found["accuracy"]) == [8] * len(USUAL)
    assert count_seed_markers(found["gains"]) == [8 * len(QUANTITIES)] * 5


def test_collapsed_seed_does_not_extend_the_axis(draw) -> None:
    collapsed = made_summary(variants=USUAL[:-1], collapsed=True)
    values = [100 * v for row in collapsed.variants for v in row.accuracy.values()]
    low, high = central_range(values, [])
    assert 92 < low < high < 98
    (found,), (scatter,) = accuracy(collapsed), gains(collapsed)
    assert "Beyond the axis, and drawn at its edge: 1 seed, 1 mean and 2 ends of" in found.caption
    assert "drawn at its edge: 1 seed and 1 mean" in scatter.caption
    assert "Beyond the axis" not in draw()["accuracy"].caption
    assert count_seed_markers(found) == [8] * 5 + [7]  # one is a triangle at the edge


@pytest.mark.parametrize("level", [0.0, -1e-17])
def test_snnl_of_zero_has_a_figure(level) -> None:
    summary = made_summary(seeds=1)
    for row in summary.variants:
        for curve in row.snnl.values():
            curve[:] = [CurvePoint(point.epoch, level, None, None) for point in curve]
    assert "2.0" in texts(snnl_at_end(summary)[0])


def test_accuracy_interval_is_clipped_at_0_and_100_percent() -> None:
    summary = made_summary(variants=("none", "input"), seeds=2)
    assert "clipped" not in accuracy(summary)[0].caption
    summary.variants[0].test["accuracy"] = estimate([0.97, 0.999])
    assert "clipped at 0 and 100%" in accuracy(summary)[0].caption


def test_every_quantity_except_snnl_has_a_training_panel(draw) -> None:
    figure = draw()["geometry-training"]
    shown = " ".join(texts(figure))
    assert all(heading(name) in shown for name in QUANTITIES if name != "snnl")
    assert figure.caption.endswith("Logarithmic axis: NC1 and Tr(Sw Sb⁺).")


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"variants": ("input", "block1", "final")}, {"geometry-training", "gains"}),
        ({"geometry": False}, {"geometry-training"}),
        ({"variants": ("none", "input", "final")}, {"gains"}),
        ({}, {"weights"}),
    ],
)
def test_figures_without_data_are_omitted(draw, settings, missing) -> None:
    assert not missing & draw(**settings).keys()


def test_non_latin_names_give_no_warning() -> None:
    assert "猫" in accuracy(made_summary(variants=("none", "猫")))[0].svg

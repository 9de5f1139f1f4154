"""Pictures: computed, the same to the byte, themable, and apart from one another on a page."""

import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from made_summaries import HOSTILE, USUAL, made_summary
from safetensors.torch import save_file

from layermix.lab import DataConfig, Recipe, Study, StudyConfig, figures
from layermix.lab.answer.stats import estimate
from layermix.lab.answer.variant import CurvePoint
from layermix.lab.figures import Figure
from layermix.lab.figures.accuracy import limits
from layermix.lab.figures.embedding import last_block, project
from layermix.lab.figures.labels import plain, shorten, spread, text_width
from layermix.lab.figures.plane import HIDDEN, POINTS, layers, rings
from layermix.lab.figures.style import COLOURS, WARNING, WIDTH

SVG = "{http://www.w3.org/2000/svg}"
MANY = tuple(f"encoder.layers.{index}" for index in range(12))


def from_summary(**settings) -> list[Figure]:
    summary = made_summary(**settings)
    return [*figures.accuracy(summary), *figures.curves(summary), *figures.snnl(summary)]


def texts(figure: Figure) -> list[str]:
    return ["".join(t.itertext()) for t in ElementTree.fromstring(figure.svg).iter(f"{SVG}text")]


def study_with_features(folder: Path) -> Study:
    config = StudyConfig(DataConfig(), "mlp", Recipe(), ("none", "input"), (0, 1))
    study = Study(config, folder)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(30) % 3
    noise = torch.randn(2, 30, 4, generator=generator)
    tensors = {
        "labels": labels,
        "start.block2": noise[0],
        "end.block2": noise[1] + 20 * labels[:, None],
        "end.final": noise[1].clone(),
    }
    run = study.path(next(study.cells()))
    run.mkdir(parents=True)
    save_file(tensors, run / "features.safetensors")
    return study


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


def test_ink_follows_the_page_and_data_have_colours():
    allowed = {colour.lower() for colour in (*COLOURS, WARNING, "#888888")}
    for figure in [*from_summary(), *figures.plane()]:
        assert "currentColor" in figure.svg
        assert set(re.findall(r"#[0-9a-f]{6}\b", figure.svg)) <= allowed
        for text in ElementTree.fromstring(figure.svg).iter(f"{SVG}text"):
            assert "fill: currentColor" in text.attrib["style"]
        assert not re.search(r"(fill|stroke): ?(black|white)", figure.svg)


@pytest.mark.parametrize("paper", ["#ffffff", "#14171c"])
def test_colours_are_readable_on_light_and_on_dark_paper(paper):
    for colour in (*COLOURS, WARNING):
        light, dark = sorted((_luminance(colour), _luminance(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, colour


def _luminance(colour: str) -> float:
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
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


def test_plane_counts_what_a_plain_loop_counts():
    x, y = rings()
    for layer in layers(_StandIn(), x, y):
        count = 0
        for i in range(0, POINTS, 10):
            distance = (layer.real.double() - layer.mixed[i].double()).square().sum(1)
            distance[i] = distance[layer.partner[i]] = torch.inf
            own = {int(y[i]), int(y[layer.partner[i]])}
            count += int(y[distance.argmin()]) not in own
        assert count == int(layer.intruders[::10].sum())


class _StandIn(torch.nn.Module):
    """A hidden layer that turns the plane, so that both layers must give the same count."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module(HIDDEN, torch.nn.Linear(2, 2))
        self.head = torch.nn.Linear(2, 3)

    def forward(self, x):
        return self.head(self.get_submodule(HIDDEN)(x))


def test_plane_shows_the_counts_and_a_net_that_separates_the_classes():
    at_input, hidden = figures.plane()
    count = re.search(r"(\d+) of 1,000 mixed points \((\d+\.\d)%\)", at_input.caption)
    assert count is not None
    assert int(count[1]) / 10 == float(count[2]) > 10
    assert count[0] in "".join(texts(at_input))
    accuracy = re.search(r"classifies (\d+\.\d)%", hidden.caption)
    assert accuracy is not None
    assert float(accuracy[1]) > 98


def test_embedding_shows_the_last_block_with_its_snnl(tmp_path):
    start, end = figures.embedding(study_with_features(tmp_path), ["cat", "dog", "a$b"])
    assert (start.name, end.name) == ("embedding-start", "embedding-end")
    assert "block2, before training" in texts(start)
    assert {"cat", "dog"} <= set(texts(end))
    for figure in (start, end):
        assert "t-SNE" in figure.caption
        assert "N = 30" in figure.caption
        value = re.search(r"SNNL (\d\.\d{3})", figure.caption)
        assert value is not None
        assert value[0] in "".join(texts(figure))


def test_embedding_is_left_out_where_the_features_are_missing(tmp_path):
    study = Study(StudyConfig(DataConfig(), "mlp", Recipe(), ("none",), (0,)), tmp_path)
    assert figures.embedding(study, ["0", "1"]) == []


def test_many_classes_share_one_line_of_the_legend(tmp_path):
    _, end = figures.embedding(study_with_features(tmp_path), [f"class{k}" for k in range(100)])
    shown = texts(end)
    assert [name for name in shown if name.startswith("class")] == [f"class{k}" for k in range(20)]
    assert "80 others" in shown
    assert "The first 20 of the 100 classes have colours" in end.caption
    assert float(ElementTree.fromstring(end.svg).attrib["viewBox"].split()[3]) < 1.3 * WIDTH


def test_long_class_names_stay_in_the_picture(tmp_path):
    names = ["automobile", "a rather long name of a class", "cat"]
    _, end = figures.embedding(study_with_features(tmp_path), names)
    assert {"automobile", "cat"} <= set(texts(end))


@pytest.mark.parametrize("scale", [1e-30, 2.0**40, 1e37, 0.0])
def test_the_map_of_features_suits_every_scale(scale):
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    found = project(x * scale)
    assert np.isfinite(found).all()
    if scale == 2.0**40:  # a power of two, which leaves the digits alone
        assert (found == project(x)).all()


def test_a_single_feature_has_a_map_too():
    assert np.isfinite(project(torch.arange(30.0)[:, None])).all()


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


def test_the_last_block_is_found_by_number():
    names = ("block2", "block10", "block9", "final", "input")
    assert last_block({f"end.{name}": torch.zeros(1) for name in names}) == "block10"
    assert last_block({"end.final": torch.zeros(1)}) == "final"


def test_draw_all_draws_every_picture(tmp_path):
    drawn = figures.draw_all(study_with_features(tmp_path), made_summary())
    pictures = dict.fromkeys(figure.picture for figure in drawn)
    first = ["accuracy", "curves", "plane", "embedding", "snnl", "geometry", "prediction"]
    assert list(pictures) == first


def test_labels_are_spread_in_order_and_within_the_room():
    placed = spread([5.0, 5.1, 4.9, 50.0], pitch=10, low=0, high=60)
    assert placed[2] < placed[0] < placed[1] < placed[3]
    in_order = sorted(placed)
    assert all(b - a >= 10 - 1e-9 for a, b in pairwise(in_order))
    assert 0 <= in_order[0] <= in_order[-1] <= 60
    assert spread([1.0] * 9, pitch=10, low=0, high=40)[-1] <= 40


def test_long_names_lose_their_middle_and_dollars_stay_dollars():
    short = shorten("encoder.layers.encoder_layer_11", 80)
    assert "…" in short
    assert short.endswith("_11")
    assert text_width(short) <= 80
    assert shorten("final", 80) == "final"
    assert plain("a$b$") == r"a\$b\$"


def test_names_in_other_scripts_give_no_warning():
    assert "猫" in figures.accuracy(made_summary(variants=("none", "猫")))[0].svg

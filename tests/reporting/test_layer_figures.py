"""Pictures of layers: their geometry, what it predicts, and what `auto` chose."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from figure_parts import SVG, texts
from layermix.geometry.quantities import GAP_QUANTITIES, QUANTITIES
from layermix.reporting import figures
from layermix.reporting.figures import Figure
from layermix.reporting.figures.labels import text_width, wrapped
from layermix.reporting.figures.scales import bulk, tick
from layermix.reporting.figures.style import COLORS, WIDTH
from layermix.reporting.formatting import heading
from layermix.reporting.summary import Summary, foretold
from layermix.reporting.variant import CurvePoint
from made_summaries import HOSTILE, USUAL, made_summary, results_of

GREY = "#888888"


def blocks(count: int, name: str = "encoder.layers.encoder_layer_") -> tuple[str, ...]:
    return tuple(f"{name}{index}" for index in range(count))


def study(layers: tuple[str, ...], **settings) -> Summary:
    return made_summary(variants=("none", *layers, "random", "auto"), blocks=layers, **settings)


def drawn(summary: Summary) -> list[Figure]:
    return [
        *figures.geometry(summary),
        *figures.prediction(summary),
        *figures.weights(summary),
    ]


def test_all_pictures_are_drawn_under_their_names() -> None:
    names = [figure.name for figure in drawn(made_summary(variants=(*USUAL, "auto")))]
    assert names == ["geometry-training", "prediction-rho", "prediction-scatter", "weights"]


@pytest.mark.parametrize("seeds", [1, 8])
@pytest.mark.parametrize("layers", [blocks(3), blocks(14), blocks(5, "b"), (HOSTILE, "a", "b")])
def test_every_number_of_layers_and_seeds_has_its_pictures(layers, seeds) -> None:
    found = drawn(study(layers, seeds=seeds))
    assert len(found) == 4
    for figure in found:
        root = ElementTree.fromstring(figure.svg)
        assert root.attrib["viewBox"].split()[2] == str(WIDTH)
        assert root.attrib["aria-label"] == figure.alt
        assert set(re.findall(r"#[0-9a-f]{6}\b", figure.svg)) <= {*COLORS, GREY}
        assert not re.search(r"(fill|stroke): ?(black|white)", figure.svg)
    for figure in (found[0], found[2]):
        assert sum(text.endswith(layers[-1][-4:]) for text in texts(figure)) == 1, "the legend"


def test_pictures_are_the_same_to_the_byte_each_time() -> None:
    assert drawn(study(blocks(4))) == drawn(study(blocks(4)))


def test_every_quantity_but_snnl_has_a_panel_over_training() -> None:
    (figure,) = figures.geometry(made_summary())
    panels = [each.heading for name, each in QUANTITIES.items() if name != "snnl"]
    assert [text for text in texts(figure) if text in panels] == panels
    assert "mean over 8 seeds, without bands" in figure.caption
    assert "high peak: NC1 and Tr(Sw Sb⁺)." in figure.caption  # both fall over decades


def test_a_peak_early_in_training_does_not_flatten_what_curves_come_to() -> None:
    summary = made_summary()
    for curve in summary.variant("none").geometry["gap_loss"].values():
        curve[1] = replace(curve[1], mean=9.0)
    (figure,) = figures.geometry(summary)
    assert "high peak: NC1, Tr(Sw Sb⁺) and loss of the mix." in figure.caption
    assert {"0.5", "1", "2", "5"} <= set(texts(figure))


@pytest.mark.parametrize(
    ("start", "width"),
    [(0.0, 1e-3), (0.9981, 1.6e-3), (0.99961, 3e-4), (-1e-4, 4e-4), (2e4, 900.0)],
)
def test_labels_of_ticks_are_not_cut_at_the_edge_of_the_picture(start: float, width: float) -> None:
    summary = made_summary()
    for curves in summary.variant("none").geometry.values():
        for place, curve in enumerate(curves.values()):
            values = [start + width * (place + 1) / 5 * p.epoch / 20 for p in curve]
            curve[:] = [replace(p, mean=value) for p, value in zip(curve, values, strict=True)]
    (figure,) = figures.geometry(summary)
    ticks = [
        text
        for text in ElementTree.fromstring(figure.svg).iter(f"{SVG}text")
        if "text-anchor: end" in text.attrib["style"]
    ]
    assert len(ticks) >= 2 * len(QUANTITIES) - 2  # two of each panel or more
    for text in ticks:
        assert text_width(text.text or "") <= float(text.attrib["x"]), text.text


def test_a_quantity_that_stays_at_zero_has_a_linear_axis() -> None:
    summary = made_summary()
    for curves in summary.variant("none").geometry.values():
        for place, curve in enumerate(curves.values()):
            curve[:] = [CurvePoint(p.epoch, 1e-17 * 10 ** (4 * place), None, None) for p in curve]
    (figure,) = figures.geometry(summary)
    assert "Logarithmic" not in figure.caption


def test_geometry_of_one_watched_epoch_is_drawn_as_points() -> None:
    summary = made_summary()
    for curves in summary.variant("none").geometry.values():
        for curve in curves.values():
            del curve[:-1]
    assert "<use" in figures.geometry(summary)[0].svg


def test_the_forest_has_a_row_and_a_mean_for_every_quantity_and_for_depth() -> None:
    summary = made_summary()
    forest, _ = figures.prediction(summary)
    text = " ".join(texts(forest))
    for row in summary.prediction.rows():
        assert heading(row.quantity) in text
    means = [shown for shown in texts(forest) if re.fullmatch(r"[+−]\d\.\d\d", shown)]
    assert len(means) == len(QUANTITIES) + 1
    assert "A single seed" not in forest.caption
    assert "A single seed" in figures.prediction(made_summary(seeds=1))[0].caption


def test_every_seed_of_every_layer_is_a_dot_behind_its_rho() -> None:
    _, scatter = figures.prediction(made_summary(seeds=8))
    seeds = re.findall(r"<g style=\"[^\"]*opacity: 0\.8[^\"]*\">.*?</g>", scatter.svg, re.DOTALL)
    assert [group.count("<use") for group in seeds] == [8] * 5 * len(QUANTITIES)
    rhos = [text for text in texts(scatter) if re.fullmatch(r"rho [+−]\d\.\d\d", text)]
    assert len(rhos) == len(QUANTITIES)


def test_depth_is_marked_in_the_row_of_every_other_quantity() -> None:
    summary = made_summary()
    forest, _ = figures.prediction(summary)
    strokes = re.findall(rf"stroke: {GREY}; stroke-width: 2\.2", forest.svg)
    assert len(strokes) == len(QUANTITIES)
    assert "on the expected side whichever way depth runs, as the baseline" in forest.caption
    assert "95% Student-t interval over seeds" in forest.caption


def test_a_value_that_all_seeds_share_at_the_input_is_explained() -> None:
    summary = made_summary()
    assert "At the input" not in figures.prediction(summary)[1].caption
    for name, values in summary.variant("none").geometry_end.items():
        if name not in GAP_QUANTITIES:
            values["input"] = dict.fromkeys(values["input"], 0.5)
    assert "At the input all seeds have one value" in figures.prediction(summary)[1].caption


def test_a_collapsed_seed_does_not_flatten_the_gains_and_is_told_of() -> None:
    summary = made_summary(variants=USUAL[:-1], collapsed=True)
    _, scatter = figures.prediction(summary)
    assert "Seeds beyond the axis: 1, drawn at its edge" in scatter.caption
    assert "Seeds beyond" not in figures.prediction(made_summary())[1].caption


def test_a_quantity_without_a_rho_has_a_row_and_no_panel() -> None:
    summary = made_summary()
    for values in summary.variant("none").geometry_end["nc1"].values():
        values.update(dict.fromkeys(values, 1.0))
    runs = {row.name: results_of(row) for row in summary.variants}
    undefined = replace(summary, prediction=foretold(summary.variants, runs))
    forest, scatter = figures.prediction(undefined)
    assert "NC1" in texts(forest)
    assert "–" in texts(forest)
    assert "NC1" not in texts(scatter)


@pytest.mark.parametrize(
    "settings", [{"variants": ("input", "block1", "final")}, {"geometry": False}]
)
def test_geometry_that_was_not_measured_has_no_picture(settings) -> None:
    assert figures.geometry(made_summary(**settings)) == []


def test_nothing_is_drawn_where_nothing_is_predicted_or_chosen() -> None:
    assert figures.prediction(made_summary(variants=("none", "input", "final"))) == []
    assert figures.weights(made_summary()) == []


def test_the_bulk_leaves_out_what_is_far_out() -> None:
    assert bulk([1, 2, 3, 4, 100], [2.5, 0.5]) == (0.5, 4)
    assert bulk([1, 1], []) == (1, 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.25, "0.25"), (-2, "−2"), (1e-5, "1e−5"), (2e30, "2e30"), (1234567, "1.23457e6"), (0, "0")],
)
def test_a_tick_says_its_value(value: float, text: str) -> None:
    assert tick(value) == text


def test_a_long_heading_is_broken_between_words() -> None:
    lines = wrapped("variance off the leading direction", 118).split("\n")
    assert " ".join(lines) == "variance off the leading direction"
    assert all(text_width(line) <= 118 for line in lines)
    assert wrapped("NC1", 118) == "NC1"

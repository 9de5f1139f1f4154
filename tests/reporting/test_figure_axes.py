"""Tests of the axes, legends and labels of figures."""

from dataclasses import replace

from figure_parts import texts
from layermix.reporting.figures.curves import geometry_curves, training_curves
from layermix.reporting.figures.intervals import accuracy, central_range, snnl_at_end
from layermix.reporting.figures.style import shorten
from layermix.reporting.variant import CurvePoint
from made_summaries import made_summary


def test_accuracy_curves_have_a_linear_axis() -> None:
    summary = made_summary()
    for row in summary.variants:
        row.val_accuracy[0] = replace(row.val_accuracy[0], mean=0.007)
    ticks = {float(text) for text in texts(training_curves(summary)[1]) if text.isdigit()}
    assert {30, 60, 90} <= ticks


def test_variant_labels_are_unique() -> None:
    names = [f"multimix@block{k}:k=8,low=0.05,high=2" for k in (1, 2)]
    summary = made_summary(variants=("none", *names))
    for figure in (*accuracy(summary), *training_curves(summary), *snnl_at_end(summary)):
        assert set(names) <= set(texts(figure))


def test_layer_without_a_quantity_is_in_the_legend() -> None:
    summary = made_summary()
    assert summary.unmixed is not None
    first = next(name for name in summary.unmixed.geometry if name != "snnl")
    del summary.unmixed.geometry[first]["block1"]
    assert texts(geometry_curves(summary)[0]).count("block1") == 1


def test_central_range_has_a_margin_and_excludes_outliers() -> None:
    assert central_range([1, 2, 3, 4, 100], [2.5, 0.5]) == (0.5 - 0.28, 4 + 0.28)
    assert central_range([1, 1], []) == (0.95, 1.05)


def test_long_names_are_shortened_in_the_middle() -> None:
    short = shorten("encoder.layers.encoder_layer_11", 20)
    assert len(short) == 20
    assert short.startswith("enc")
    assert short.endswith("_11")
    assert shorten("final", 20) == "final"


def test_values_near_zero_have_a_linear_axis() -> None:
    summary = made_summary()
    assert summary.unmixed is not None
    for curves in summary.unmixed.geometry.values():
        for place, curve in enumerate(curves.values()):
            curve[:] = [CurvePoint(p.epoch, 1e-17 * 10 ** (4 * place), None, None) for p in curve]
    assert "Logarithmic" not in geometry_curves(summary)[0].caption


def test_diverged_loss_curves_have_a_figure() -> None:
    summary = made_summary()
    for row in summary.variants:
        row.train_loss[:] = [CurvePoint(p.epoch, 1e30 * p.mean, None, None) for p in row.train_loss]
    assert any("e+30" in text for text in texts(training_curves(summary)[0]))

"""Tests of the figure of benchmark ratios: labels, values and axis."""

import re

from docs.tools.ratios import Group, Ratio, ratios_figure
from figure_parts import texts
from layermix.reporting.figures import Figure


def figure(*ratios: Ratio) -> Figure:
    return ratios_figure("speed", [Group("mix over copy", ratios)], "times as long", "How to read.")


def test_each_ratio_is_labeled_with_its_median() -> None:
    found = figure(Ratio("ours", 1.84, 1.7, 2.0), Ratio("a $name$", 13.2, 12, 15))
    assert {"mix over copy", "ours", "1.84", "a $name$", "13.2", "times as long"} <= set(
        texts(found)
    )
    assert found.alt == "times as long. mix over copy: ours 1.84, a $name$ 13.2."


def test_axis_contains_one_and_covers_all_spreads() -> None:
    def numbers(*ratios: Ratio) -> list[float]:
        shown = [text for text in texts(figure(*ratios)) if re.fullmatch(r"[\d.]+", text)]
        return [float(text) for text in shown[: -len(ratios)]]

    assert numbers(Ratio("a", 3, 2.2, 21)) == [1, 2, 5, 10, 20]
    assert numbers(Ratio("a", 0.3, 0.21, 0.4)) == [0.2, 0.5, 1]

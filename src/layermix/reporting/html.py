"""The report as one HTML file: nothing loaded from a network, no scripts, light and dark.

The words and the layout are in ``templates/``; here everything is put into the order and the form
in which the template shows it.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

import layermix
from layermix.geometry.quantities import POSITIVE, SHARE
from layermix.reporting.figures import Figure
from layermix.reporting.figures.accuracy import limits
from layermix.reporting.formatting import (
    ABSENT,
    MEASURES,
    decimals,
    flip_test,
    in_percent,
    interval,
    number,
    orders_p_name,
    p_name,
    p_value,
    percent,
    percentage_points,
    place,
)
from layermix.reporting.layers import layer_table, rank_caption, rank_rows
from layermix.reporting.settings import in_words
from layermix.reporting.statistics.bounds import Bounds
from layermix.reporting.statistics.stats import Difference, Estimate
from layermix.reporting.strip import strip
from layermix.reporting.summary import Summary
from layermix.reporting.variant import VariantSummary

_OTHERS = [name for name in MEASURES if name != "accuracy"]
_CELLS = 1 + len(_OTHERS) + 2  # accuracy, the other measures, two timings


def html(summary: Summary, figures: Sequence[Figure]) -> str:
    """Return the whole report.

    Parameters
    ----------
    summary
        What the study says.
    figures
        Its pictures; a section whose picture is missing says so.
    """
    pictures: dict[str, list[Figure]] = {}
    for figure in figures:
        pictures.setdefault(figure.picture, []).append(figure)
    page = _environment().get_template("report.html.j2")
    return page.render(
        summary=summary,
        pictures=pictures,
        others=[MEASURES[name] for name in _OTHERS],
        measures=list(_measures(summary)),
        differences=list(_differences(summary)),
        geometry=layer_table(summary),
        ranks=list(rank_rows(summary.prediction.rows())),
        rank_caption=rank_caption(len(summary.prediction.layers)),
        rank_p=orders_p_name(len(summary.prediction.layers)),
        configuration=in_words(summary.config["used"]),
        winner=place(summary.verdict.winner),
        version=layermix.__version__,
    )


def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("layermix.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters["svg"] = lambda figure: Markup(figure.svg)
    found.filters["breakable"] = _breakable
    found.globals["css"] = Markup(_read(found, "report.css"))
    return found


def _read(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _breakable(name: str) -> Markup:
    """Let a long name break after the marks that part it, as ``multimix@final:k=8,low=0.05``."""
    if len(name) <= 14 and "@" not in name:
        return escape(name)
    return Markup("<wbr>").join(re.split(r"(?<=[._@:,])(?![._@:,\d])", name))


def _measures(summary: Summary) -> Iterable[dict[str, Any]]:
    ends = limits(summary.variants)
    for name, seeds, row in summary.rows():
        yield {
            "name": name,
            "place": place(name),
            "best": name == summary.verdict.winner,
            "seeds": seeds,
            "strip": _strip(row, ends) if row else ABSENT,
            "cells": _cells(row) if row else [(ABSENT, ABSENT)] * _CELLS,
        }


def _strip(row: VariantSummary, ends: tuple[float, float]) -> Markup:
    return Markup(strip(row.seeds, row.test["accuracy"].values, ends))


def _cells(row: VariantSummary) -> list[tuple[str, str]]:
    """Return each mean and its interval as they stand in the table."""
    accuracy, seconds = row.test["accuracy"], row.timings["seconds"]
    return [
        (percent(accuracy.mean), interval(accuracy, in_percent, SHARE)),
        *(_cell(row.test[name], 4, MEASURES[name].bounds) for name in _OTHERS),
        _cell(seconds, decimals(seconds.mean)),
        _cell(row.timings["images_per_second"], 0),
    ]


def _cell(found: Estimate, digits: int, bounds: Bounds = POSITIVE) -> tuple[str, str]:
    return number(found.mean, digits), interval(found, lambda end: number(end, digits), bounds)


def _differences(summary: Summary) -> Iterable[dict[str, Any]]:
    for baseline, gaps in summary.differences.items():
        if gaps:
            seeds = max(gap.estimate.n for gap in gaps)
            yield {
                "place": place(baseline),
                "baseline": baseline,
                "test": flip_test(seeds),
                "p": p_name(seeds),
                "rows": [_difference(gap) for gap in gaps],
            }


def _difference(gap: Difference) -> dict[str, str]:
    return {
        "name": gap.variant,
        "place": place(gap.variant),
        "mean": percentage_points(gap.estimate.mean),
        "interval": interval(gap.estimate, percentage_points),
        "seeds": str(gap.estimate.n),
        "p": p_value(gap.p),
        "p_holm": p_value(gap.p_holm),
    }

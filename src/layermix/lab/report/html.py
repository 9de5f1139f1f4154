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
from layermix.lab.figures import Figure
from layermix.lab.figures.accuracy import limits
from layermix.lab.report.format import interval, number, p_value, percent
from layermix.lab.report.strip import strip
from layermix.lab.stats import Difference, Estimate
from layermix.lab.summary import Summary, VariantSummary
from layermix.lab.verdict import place, points

_MEASURES = ("nll", "brier", "ece")


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
        measures=list(_measures(summary)),
        differences=[
            (place(baseline), baseline, [_difference(gap) for gap in gaps])
            for baseline, gaps in summary.differences.items()
            if gaps
        ],
        configuration=list(_flat(summary.config)),
        winner=place(summary.verdict.winner),
        version=layermix.__version__,
    )


def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("layermix.lab.report", "templates"),
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
    """Let a long name break after a dot or an underscore."""
    if len(name) <= 14:
        return escape(name)
    return Markup("<wbr>").join(re.findall(r"[^._]+[._]*|[._]+", name))


def _measures(summary: Summary) -> Iterable[dict[str, Any]]:
    ends = limits(summary.variants)
    for row in summary.variants:
        accuracy = row.test["accuracy"]
        yield {
            "name": row.name,
            "place": place(row.name),
            "best": row.name == summary.verdict.winner,
            "seeds": len(row.seeds),
            "strip": Markup(strip(row.seeds, accuracy.values, ends)),
            "accuracy": (percent(accuracy.mean), interval(accuracy, 100, 2)),
            "others": [_cell(row.test[name], 4) for name in _MEASURES],
            "timings": _timings(row),
        }


def _timings(row: VariantSummary) -> list[tuple[str, str]]:
    return [_cell(row.timings["seconds"], 1), _cell(row.timings["images_per_second"], 0)]


def _cell(found: Estimate, digits: int) -> tuple[str, str]:
    """Return a mean and its interval as they stand in a table."""
    return number(found.mean, digits), interval(found, 1, digits)


def _difference(gap: Difference) -> dict[str, str]:
    return {
        "name": gap.variant,
        "place": place(gap.variant),
        "mean": points(gap.estimate.mean),
        "interval": _signed(gap.estimate),
        "seeds": str(gap.estimate.n),
        "p": p_value(gap.p),
        "p_holm": p_value(gap.p_holm),
    }


def _signed(found: Estimate) -> str:
    """Return the interval of a difference, its ends with their signs as the difference has."""
    if found.low is None or found.high is None:
        return "–"
    return f"{points(found.low)} to {points(found.high)}"


def _flat(config: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield the settings of all levels, by the names they have on the command line."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name.replace("_", " "), _words(value)


def _words(value: Any) -> str:
    if value is None:
        return "left out: the default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)

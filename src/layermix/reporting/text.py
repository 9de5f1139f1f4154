"""The text of a report: lists of paragraphs, rendered from ``.txt.j2`` templates."""

import itertools
import math
import re
from collections.abc import Sequence
from types import FunctionType
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from layermix.experiments.training.evaluate import MIXED, RATIO
from layermix.geometry.quantities import GAP_QUANTITIES
from layermix.reporting import formatting, result_checks
from layermix.reporting.statistics import (
    LEVEL,
    MIN_LAYERS,
    Prediction,
    Rank,
    lead,
    least_orders_p,
    least_p,
)
from layermix.reporting.summary import Summary


def verdict_text(summary: Summary) -> list[str]:
    """Return the verdict of a study: the best variant, then whether *final beats input* holds."""
    return _paragraphs("verdict", summary=summary)


def verdict_notes(summary: Summary) -> list[str]:
    """Return notes on how to read the results."""
    return _paragraphs("notes", summary=summary)


def prediction_text(prediction: Prediction) -> list[str]:
    """Return text on how well geometry predicts the gain, compared with depth."""
    return _paragraphs("prediction", prediction=prediction)


def prediction_notes(prediction: Prediction) -> list[str]:
    """Return notes on how to read the prediction; empty if there are no rank correlations."""
    return _paragraphs("prediction_notes", prediction=prediction) if prediction.ranks else []


def geometry_notes(geometry: result_checks.Geometry) -> list[str]:
    """Return notes on how to read the geometry of layers."""
    return _paragraphs("geometry_notes", geometry=geometry)


def studies_text(ranks: Sequence[Rank]) -> list[str]:
    """Return text on how well geometry predicts the gain over several studies."""
    return _paragraphs("studies", ranks=ranks)


def _paragraphs(template: str, **values: Any) -> list[str]:
    text = ENVIRONMENT.get_template(f"{template}.txt.j2").render(**values)
    paragraphs = (" ".join(paragraph.split(None)) for paragraph in text.split("\n\n"))
    return [f"{each[0].upper()}{each[1:]}" for each in paragraphs if each]


def _lead_text(ranks: Sequence[Rank], found: Any, depth: Rank, unit: str) -> str:
    return _paragraphs("lead", ranks=ranks, lead=found, depth=depth, unit=unit)[0]


def _few(n: int) -> str:
    """Return a remark if n seeds are too few for a significant p-value, else an empty text."""
    return f"{formatting.plural(n, 'seed', 'is')} too few to tell" if least_p(n) >= LEVEL else ""


def _layers_needed(quantities: int) -> int:
    """Return how many layers can give a significant p-value after correction for all quantities."""
    return next(n for n in itertools.count(1) if quantities * least_orders_p(n) < LEVEL)


def _escaped(text: str) -> str:
    """Escape the characters of a text that start HTML tags or end table cells in Markdown."""
    return re.sub(r"<(?=\S)|\|", r"\\\g<0>", text)


def _rhos(ranks: Sequence[Rank]) -> str:
    named = (
        f"{formatting.heading(r.quantity)} ({formatting.correlation(r.estimate.mean)})"
        for r in ranks
        if r.estimate
    )
    return formatting.listed(list(named)) if ranks else ""


def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("layermix.reporting"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    formats = {k: v for k, v in vars(formatting).items() if isinstance(v, FunctionType)}
    found.globals |= formats | {
        "result_checks": result_checks,
        "gap_quantities": list(GAP_QUANTITIES),
        "lead": _lead_text,
        "min_layers": MIN_LAYERS,
        "mixed": MIXED,
        "ratio": RATIO,
        "study_lead": lead,
    }
    found.filters |= formats | {
        "escaped": _escaped,
        "factorial": math.factorial,
        "few": _few,
        "layers_needed": _layers_needed,
        "least_orders_p": least_orders_p,
        "least_p": least_p,
        "log": math.log,
        "rhos": _rhos,
    }
    return found


ENVIRONMENT = _environment()

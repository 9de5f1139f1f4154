"""The text of a report: lists of paragraphs, rendered from ``.txt.j2`` templates."""

import math
import re
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from layermix.errors import printable
from layermix.geometry.quantities import GAP_QUANTITIES
from layermix.lab.study_config import MIN_SEEDS
from layermix.lab.training.monitor import MIXED, RATIO
from layermix.reporting import formatting, result_checks
from layermix.reporting.meta_study import MetaStudy
from layermix.reporting.statistics import Estimate, least_p
from layermix.reporting.summary import Summary


def verdict_text(summary: Summary) -> list[str]:
    """Return the verdict of a study: the best variant, then whether *final beats input* holds."""
    return _paragraphs("verdict", summary=summary)


def warning_texts(summary: Summary) -> list[str]:
    """Return the warnings that a reader must see before the results."""
    return _paragraphs("warnings", summary=summary)


def verdict_notes(summary: Summary) -> list[str]:
    """Return notes on how to read the results."""
    return _paragraphs("notes", summary=summary)


def geometry_notes(geometry: result_checks.Geometry) -> list[str]:
    """Return notes on how to read the geometry of layers."""
    return _paragraphs("geometry_notes", geometry=geometry)


def meta_text(found: MetaStudy) -> list[str]:
    """Return text on how well a measure predicts the gain over several studies."""
    return _paragraphs("meta", found=found)


def _paragraphs(template: str, **values: Any) -> list[str]:
    text = ENVIRONMENT.get_template(f"{template}.txt.j2").render(**values)
    paragraphs = (" ".join(paragraph.split(None)) for paragraph in text.split("\n\n"))
    return [f"{each[0].upper()}{each[1:]}" for each in paragraphs if each]


def _drawbacks_text(drawbacks: Mapping[str, Estimate]) -> str:
    """Return the metrics in which a winner is worse than its rival, as ``but with ...``."""
    parts = []
    for metric, gap in drawbacks.items():
        ends = formatting.interval(gap, lambda v, m=metric: formatting.metric_difference(v, m))
        ends = f" (95% interval {ends})" if gap.low is not None else ""
        text = formatting.metric_difference(gap.mean, metric)
        parts.append(f"{formatting.METRICS[metric].heading} by {text}{ends}")
    return f"but with a higher mean {formatting.listed(parts)}" if parts else ""


def _escaped(text: str) -> str:
    """Escape the characters of a text that Markdown would interpret, such as those of HTML tags.

    The text becomes one line.
    """
    text = " ".join(text.splitlines())
    return re.sub(r"[\\`*\[\]|&]|<(?=\S)|(?<!\w)_|_(?!\w)", r"\\\g<0>", text)


def _printable(value: Any) -> Any:
    """Return a value for a template, with control characters as escapes."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value) if is_text else value


def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("layermix.reporting"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.tests["infinite"] = math.isinf
    formats = {k: v for k, v in vars(formatting).items() if isinstance(v, FunctionType)}
    found.globals |= formats | {
        "result_checks": result_checks,
        "gap_quantities": list(GAP_QUANTITIES),
        "min_seeds": MIN_SEEDS,
        "mixed": MIXED,
        "ratio": RATIO,
    }
    found.filters |= formats | {
        "drawbacks_text": _drawbacks_text,
        "escaped": _escaped,
        "least_p": least_p,
        "log": math.log,
    }
    return found


ENVIRONMENT = _environment()

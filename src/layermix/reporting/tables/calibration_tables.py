"""Tables of calibration: before and after temperature scaling."""

from layermix.reporting.summary import Summary
from layermix.reporting.tables.table import (
    Column,
    Table,
    difference_cell,
    metric_cell,
    metric_columns,
    variant_row,
)

_SHOWN = ("temperature", "nll", "nll_scaled", "brier", "brier_scaled", "ece", "ece_scaled")
_SHOWN += ("classwise_ece", "adaptive_ece", "aurc")


def calibration_table(summary: Summary) -> Table | None:
    """Return the calibration of every variant; None if the runs do not have it."""
    names = _names(summary)
    if not names:
        return None
    rows = [
        variant_row(row.name, [metric_cell(row.test.get(name), name) for name in names])
        for row in summary.variants
    ]
    caption = f"Calibration on test data, as trained, over {summary.unit}"
    return Table("calibration", caption, [Column("variant"), *metric_columns(names)], rows)


def calibration_differences(summary: Summary) -> Table | None:
    """Return the paired differences in calibration from the baseline; None without them."""
    names = [name for name in _names(summary) if name != "temperature"]
    others = [row.name for row in summary.variants if row.name != summary.baseline]
    if not names or not others or summary.baseline is None:
        return None
    rows = [
        variant_row(name, [difference_cell(summary.gap(name, m), m) for m in names])
        for name in others
    ]
    caption = f"Calibration minus that of {summary.baseline}, over {summary.unit}"
    columns = [Column("variant"), *metric_columns(names)]
    return Table("calibration-differences", caption, columns, rows)


def _names(summary: Summary) -> list[str]:
    """Return the metrics to show, if the runs have more than the main ones."""
    has = set.intersection(*(set(row.test) for row in summary.variants))
    return [name for name in _SHOWN if name in has] if "temperature" in has else []

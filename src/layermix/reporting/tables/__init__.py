"""The tables of a report as text cells, shared by HTML, Markdown and the terminal."""

from typing import NamedTuple

from layermix.reporting.summary import Summary
from layermix.reporting.tables.calibration_tables import calibration_differences, calibration_table
from layermix.reporting.tables.class_tables import classes_table, disagreement_table
from layermix.reporting.tables.conditions_table import conditions_table
from layermix.reporting.tables.geometry_table import geometry_table
from layermix.reporting.tables.other_data_tables import other_data_tables
from layermix.reporting.tables.result_tables import metrics_table, overview_table, seeds_table
from layermix.reporting.tables.table import Table
from layermix.reporting.tables.tuning_table import tuning_table
from layermix.reporting.tables.verdict_tables import claim_table, differences_table, norms_table

__all__ = ["Table", "Tables", "all_tables", "overview_table"]


class Tables(NamedTuple):
    """The tables of a report; None if a study has no values for it."""

    metrics: Table
    seeds: Table
    differences: Table | None
    norms: Table | None
    claim: Table | None
    calibration: Table | None
    calibration_differences: Table | None
    classes: Table | None
    disagreement: Table | None
    geometry: Table | None
    tuning: Table | None
    conditions: Table | None
    other_data: list[Table]


def all_tables(summary: Summary) -> Tables:
    """Return all tables of a report."""
    return Tables(
        metrics_table(summary),
        seeds_table(summary),
        differences_table(summary),
        norms_table(summary),
        claim_table(summary),
        calibration_table(summary),
        calibration_differences(summary),
        classes_table(summary),
        disagreement_table(summary),
        geometry_table(summary),
        tuning_table(summary),
        conditions_table(summary),
        other_data_tables(summary),
    )

"""The table of the tries of a tuned study."""

from layermix.lab.tuning import random_tries, settings_text
from layermix.reporting.formatting import listed, number, percent
from layermix.reporting.summary import Summary
from layermix.reporting.tables.table import Cell, Column, Table, variant_row


def tuning_table(summary: Summary) -> Table | None:
    """Return the settings that were tried for each variant; None if nothing was tuned."""
    if not summary.tries:
        return None
    rows = [
        variant_row(
            each.variant,
            [
                Cell(settings_text(each.settings)),
                Cell(percent(each.accuracy)),
                Cell(number(each.nll, 4)),
                Cell("chosen" if each.chosen else ""),
            ],
            "best" if each.chosen else "",
        )
        for name in summary.planned
        for each in summary.tries
        if each.variant == name
    ]
    columns = [Column("variant"), Column("settings"), Column("validation accuracy, %")]
    columns += [Column("validation NLL"), Column("")]
    caption = "Settings that were tried, at three seeds that the study does not use"
    if drawn := random_tries(summary.tries):
        caption += f"; those of {listed(drawn)} were drawn at random from more combinations"
    return Table("tuning", caption, columns, rows)

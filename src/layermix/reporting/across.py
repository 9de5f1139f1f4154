"""What several studies say together of geometry, as Markdown."""

from collections.abc import Sequence

from layermix.reporting.layers import across_rows
from layermix.reporting.markdown import as_table, with_interval
from layermix.reporting.statistics.prediction import Prediction
from layermix.reporting.statistics.studies import Across, sentences


def across_markdown(predictions: dict[str, Prediction], found: Sequence[Across]) -> str:
    """Return a page: the answer, rho of every quantity in each study, and studies without one.

    Parameters
    ----------
    predictions
        For each study, by its name, what its geometry predicts.
    found
        Each quantity's rho over them.
    """
    parts = [
        "# Does geometry predict the best layer over several studies?",
        *sentences(found),
        *([_rhos(found)] if found else []),
        *(f"{name}: {told}" for name, told in predictions.items() if not told.ranks),
    ]
    return "\n\n".join(parts) + "\n"


def _rhos(found: Sequence[Across]) -> str:
    header = ["quantity", "expected", *found[0].studies, "mean over studies"]
    rows = [
        [cell if isinstance(cell, str) else with_interval(cell) for cell in row]
        for row in across_rows(found)
    ]
    return (
        "Rank correlation, over layers, of a quantity without mixing with the gain from mixing "
        f"there: mean over seeds, with the 95% Student-t interval over seeds; in the last column "
        f"over studies.\n\n{as_table(header, rows)}"
    )

"""Does geometry predict the best layer over several studies?

Each study gives one mean rho for a quantity. Their mean over studies has a Student-t interval and a
sign-flip test, with the number of studies as n, read as those over seeds are: SNNL was asked
beforehand, the others are corrected by Holm's method. A few studies show little, and say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from layermix.geometry.quantities import QUANTITIES
from layermix.reporting.formatting import correlation, heading, interval, listed, p_name
from layermix.reporting.statistics.depth import against_depth
from layermix.reporting.statistics.prediction import Prediction, expected
from layermix.reporting.statistics.rank_correlation import Side, side_of_zero
from layermix.reporting.statistics.stats import (
    LEVEL,
    Estimate,
    estimate,
    holm,
    least_p,
    sign_flip_p,
)


@dataclass(frozen=True)
class Across:
    """How a quantity orders the layers, study by study.

    Attributes
    ----------
    quantity
        One of `QUANTITIES`, or ``"depth"``.
    expected
        The sign of rho that the hypothesis expects; 0 for depth.
    studies
        For each study the mean rho over its seeds; None where it has none.
    over
        Mean of those means, with its interval over studies; None without any.
    p, p_holm
        P-value of the sign-flip test over studies; the same after Holm's correction over all
        quantities, which leaves depth out.
    """

    quantity: str
    expected: int
    studies: dict[str, Estimate | None]
    over: Estimate | None
    p: float | None
    p_holm: float | None = None

    @property
    def rhos(self) -> dict[str, float]:
        """Mean rho of each study that has one."""
        return {name: each.mean for name, each in self.studies.items() if each}

    def side(self, p: float | None) -> Side:
        """Return on which side of zero rho is shown to lie, by its interval and a p-value."""
        return side_of_zero(self.expected, self.over, p)

    @property
    def agree(self) -> bool:
        """Whether rho is on the expected side in every study that has one."""
        return all(self.expected * rho > 0 for rho in self.rhos.values())


def over_studies(predictions: dict[str, Prediction]) -> list[Across]:
    """Return each quantity's rho over studies, in the order of `QUANTITIES`, then depth.

    Parameters
    ----------
    predictions
        For each study, by its name, what its geometry predicts.
    """
    ranks = {name: {r.quantity: r for r in found.rows()} for name, found in predictions.items()}
    present = [q for q in (*QUANTITIES, "depth") if any(q in own for own in ranks.values())]
    rows = []
    for quantity in present:
        own = {name: each.get(quantity) for name, each in ranks.items()}
        studies = {name: row.estimate if row else None for name, row in own.items()}
        means = [each.mean for each in studies.values() if each]
        sign = 0 if quantity == "depth" else expected(quantity)
        over, p = (estimate(means), sign_flip_p(means)) if means else (None, None)
        rows.append(Across(quantity, sign, studies, over, p))
    tested = [row.p for row in rows if row.p is not None and row.quantity != "depth"]
    corrected = iter(holm(tested))
    return [
        row if row.p is None or row.quantity == "depth" else replace(row, p_holm=next(corrected))
        for row in rows
    ]


def in_words(found: Sequence[Across]) -> str:
    """Return what several studies say together, in plain sentences."""
    return " ".join(sentences(found))


def sentences(found: Sequence[Across]) -> list[str]:
    """Return what several studies say together, one thought after another."""
    rows = [row for row in found if row.quantity != "depth" and row.over]
    studies = max((row.over.n for row in rows if row.over), default=0)
    if not studies:
        return ["No study here relates the geometry of its layers to the gain from mixing there."]
    if studies == 1:
        return ["Only one study here relates geometry to gain: nothing is said over studies."]
    depth = next((row for row in found if row.quantity == "depth"), None)
    parts = [
        _snnl(rows),
        _corrected(rows),
        against_depth(rows, depth, "studies") if depth else "",
        _agreement(rows, studies),
        "Studies that share data or net are counted as if they did not.",
    ]
    return [part for part in parts if part]


def _snnl(rows: list[Across]) -> str:
    row = next((row for row in rows if row.quantity == "snnl"), None)
    if row is None or row.over is None:
        return ""
    lead = {
        "expected": "layers with a low SNNL gain more from mixing",
        "other": "against the hypothesis, layers with a low SNNL gain less from mixing",
        "undecided": "SNNL is not shown to predict where mixing gains most",
    }[row.side(row.p)]
    n = row.over.n
    spread = f"95% interval {interval(row.over, correlation)}, {p_name(n)} = {row.p:.3g}"
    return f"Over {n} studies {lead}: mean rho {correlation(row.over.mean)} ({spread})."


def _corrected(rows: list[Across]) -> str:
    shown = [heading(row.quantity) for row in rows if row.side(row.p_holm) == "expected"]
    other = [heading(row.quantity) for row in rows if row.side(row.p_holm) == "other"]
    told = listed(shown) if shown else "none"
    against = f", and to go against the hypothesis {listed(other)}" if other else ""
    return (
        f"Of all {len(rows)} quantities, corrected for their number, {told} "
        f"{'are' if len(shown) > 1 else 'is'} shown to predict the gain{against}."
    )


def _agreement(rows: list[Across], studies: int) -> str:
    """Tell which signs agree, and how little that says."""
    few = f"{studies} studies are too few to show anything at the {LEVEL} level; it takes 6."
    agree = [row for row in rows if row.agree and len(row.rhos) == studies]
    told = [] if least_p(studies) < LEVEL else [few]
    if agree:
        told.append(
            f"Rho has the expected sign in each of the {studies} for "
            f"{listed([heading(row.quantity) for row in agree], most=len(rows))}, which shows "
            f"nothing by itself: by chance alone one quantity in {2**studies} has, and those that "
            "measure alike have it together."
        )
    return " ".join(told)

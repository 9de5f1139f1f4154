"""What several studies say together of geometry: each counts once."""

import math

import pytest
from test_prediction import FALLING, LAYERS, RISING, foretold

from layermix.reporting.statistics.studies import in_words, over_studies


def test_over_studies_each_study_counts_once() -> None:
    four = LAYERS[:4]
    first = foretold(layers=four, snnl=[4, 3, 2, 1], knn=[1, 2, 3, 4])
    studies = {"a": first, "b": foretold(layers=four, snnl=[4, 2, 3, 1])}
    snnl, knn, depth = over_studies(studies)
    assert snnl.over is not None
    assert snnl.over.values == pytest.approx((-1, -0.8))
    assert snnl.over.n == 2
    half = 12.7062047 * 0.1 * math.sqrt(2) / math.sqrt(2)  # t of one degree times s / sqrt(n)
    assert (snnl.over.low, snnl.over.high) == (
        pytest.approx(-0.9 - half),
        pytest.approx(-0.9 + half),
    )
    assert (snnl.p, snnl.side(snnl.p), snnl.agree) == (0.5, "undecided", True)
    assert knn.studies["b"] is None
    assert (depth.quantity, depth.p_holm) == ("depth", None)
    assert "Over 2 studies SNNL is not shown" in in_words([snnl, knn, depth])
    told = in_words([snnl, knn, depth])
    few = "2 studies are too few to show anything at the 0.05 level; it takes 6. Rho has the"
    assert f"{few} expected sign in each of the 2 for SNNL / chance, which shows nothing" in told
    assert "by chance alone one quantity in 4 has" in told


def test_many_studies_that_agree_show_it() -> None:
    found = over_studies({str(k): foretold(snnl=FALLING, nc1=RISING) for k in range(8)})
    told = in_words(found)
    assert "Over 8 studies layers with a low SNNL gain more from mixing: mean rho −1.00" in told
    assert (
        "SNNL / chance is shown to predict the gain, and to go against the hypothesis NC1" in told
    )
    assert "Rho has the expected sign in each of the 8 for SNNL / chance, which shows" in told
    assert "by chance alone one quantity in 256 has" in told
    assert (
        "whichever way depth runs: mean rho +1.00 over 8 studies (95% interval +1.00 to +1.00)."
        in told
    )
    assert "too few" not in told


def test_one_study_or_none_says_nothing_over_studies() -> None:
    nothing = foretold(layers=("input", "final"), snnl=[1, 2])
    assert "No study here relates" in in_words(over_studies({"a": nothing, "b": nothing}))
    one = over_studies({"a": nothing, "b": foretold(snnl=FALLING)})
    assert one[0].studies["a"] is None
    assert "Only one study here" in in_words(one)

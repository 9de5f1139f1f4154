"""Does the geometry of a layer predict the gain from mixing there, over many studies?

The units are pairs of data and model: each gives one Spearman correlation rho, across its layers,
between a measure without mixing and the gain from mixing at the layer. The mean rho over pairs has
a Student-t interval and a sign-flip test. Depth, the position of a layer in the network, is the
rival: its correlation is compared with that of the measure, pair by pair. A linear mixed model,

    gain ~ measure + depth + (1 | data) + (1 | model),

uses the layers of all pairs, with the measure standardized (statsmodels).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layermix.reporting.statistics.paired import Estimate, estimate, sign_flip_p
from layermix.reporting.statistics.reliability import rank_correlation

MIN_LAYERS = 3  # two layers are in the same order half of the time


@dataclass(frozen=True)
class Layers:
    """The layers of one pair of data and model, in the order of the network."""

    data: str
    model: str
    names: tuple[str, ...]
    measure: tuple[float, ...]  # without mixing
    gain: tuple[float, ...]  # test accuracy with mixing minus without, in points

    @property
    def depth(self) -> np.ndarray:
        """The position of each layer, from 0 to 1."""
        return np.linspace(0, 1, len(self.names))


@dataclass(frozen=True)
class Effect:
    """A coefficient of the mixed model in points of accuracy, with its 95% interval."""

    name: str  # ``measure`` (per standard deviation) or ``depth`` (from the input to the end)
    value: float
    low: float
    high: float
    p: float  # of a z test


@dataclass(frozen=True)
class MetaResult:
    """The answer over pairs: correlations times the expected sign, and the mixed model."""

    rhos: dict[str, float]  # of the measure and the gain, times the expected sign, by pair
    depth_rhos: dict[str, float]  # of depth and the gain; later layers are expected to gain more
    measure: Estimate
    p: float  # of the sign-flip test over pairs
    lead: Estimate  # rho of the measure minus rho of depth
    p_lead: float
    effects: list[Effect]  # empty if the mixed model cannot be fitted
    problem: str  # why it cannot, or a warning of the fit; else empty


def analyze(pairs: Sequence[Layers], expected: int) -> MetaResult:
    """Return the answer over one or more pairs; `expected` is the sign of rho that is expected."""
    names = [f"{pair.data} {pair.model}" for pair in pairs]
    rhos = [expected * float(rank_correlation(*map(np.array, (p.measure, p.gain)))) for p in pairs]
    depths = [float(rank_correlation(pair.depth, np.array(pair.gain))) for pair in pairs]
    leads = (np.array(rhos) - depths).tolist()
    effects, problem = mixed_model(pairs, expected)
    return MetaResult(
        dict(zip(names, rhos, strict=True)),
        dict(zip(names, depths, strict=True)),
        estimate(rhos),
        sign_flip_p(rhos),
        estimate(leads),
        sign_flip_p(leads),
        effects,
        problem,
    )


def mixed_model(pairs: Sequence[Layers], expected: int = 1) -> tuple[list[Effect], str]:
    """Fit the mixed model; return its two effects, and a problem or an empty text.

    The effect of the measure is multiplied by the `expected` sign.
    """
    rows = _rows(pairs)
    factors = [name for name in ("data", "model") if len(set(rows[name])) > 1]
    if len(pairs) < 3 or not factors:
        return [], "the mixed model needs three pairs, of two data sets or two models"
    import pandas as pd
    import statsmodels.formula.api as smf

    frame = pd.DataFrame(rows)
    centered = frame["measure"] - frame["measure"].mean()
    frame["measure"] = expected * centered / centered.std()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fitted: Any = smf.mixedlm(
                "gain ~ measure + depth",
                frame,
                groups=np.ones(len(frame)),
                vc_formula={name: f"0 + C({name})" for name in factors},
            ).fit(reml=True)
        except (ValueError, np.linalg.LinAlgError) as error:
            return [], f"the mixed model cannot be fitted: {error}"
    effects = [_effect(fitted, name) for name in ("measure", "depth")]
    problem = "" if fitted.converged else "the fit of the mixed model did not converge"
    return effects, problem or "; ".join(sorted({str(w.message).splitlines()[0] for w in caught}))


def _effect(fitted: Any, name: str) -> Effect:
    low, high = map(float, fitted.conf_int().loc[name])
    return Effect(name, float(fitted.params[name]), low, high, float(fitted.pvalues[name]))


def _rows(pairs: Sequence[Layers]) -> Mapping[str, list[Any]]:
    names = ("gain", "measure", "depth", "data", "model")
    rows: dict[str, list[Any]] = {name: [] for name in names}
    for pair in pairs:
        rows["gain"] += pair.gain
        rows["measure"] += pair.measure
        rows["depth"] += pair.depth.tolist()
        rows["data"] += [pair.data] * len(pair.names)
        rows["model"] += [pair.model] * len(pair.names)
    return rows

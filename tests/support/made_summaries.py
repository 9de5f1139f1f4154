"""Synthetic summaries: random numbers with a fixed seed, without training."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from layermix.geometry import QUANTITIES
from layermix.lab import RunResult
from layermix.reporting import Summary
from layermix.reporting.formatting import METRICS
from layermix.reporting.geometry_reliability import Reliability
from layermix.reporting.statistics import estimate
from layermix.reporting.variant import Curve, CurvePoint, VariantSummary, summarize_variant

USUAL = ("none", "input", "block1", "block2", "block3", "final", "random")
HOSTILE = """<script>alert("1")</script>&'$x_1$"""
_CHANCE = 2.31
_SIZES = {"train": 300, "val": 300, "test": 1000, "classes": 10}
_RECORD = {"epoch": 0, "snnl": {"input": {"value": 1.0, "chance": 2.0}}}
_TIMINGS = {"seconds": 1.0, "examples_per_second": 1.0}


def made_summary(
    variants: tuple[str, ...] = USUAL,
    seeds: int = 8,
    blocks: tuple[str, ...] = ("input", "block1", "block2", "block3", "final"),
    data: str = "digits",
    collapsed: bool = False,
    waiting: tuple[str, ...] = (),
    planned_seeds: int | None = None,
    geometry: bool = True,
) -> Summary:
    """Return a synthetic summary of a study.

    If `collapsed`, one seed of the last variant has an accuracy of 0.1. The variants in `waiting`
    have no finished run. Only `seeds` of the `planned_seeds` are finished. Without `geometry`, the
    runs have SNNL only, like older runs. The variant ``auto`` has weights.
    """
    rng = np.random.default_rng(0)
    rows = [_variant(rng, name, place, seeds, blocks) for place, name in enumerate(variants)]
    rows = [_with_geometry(row, seeds, blocks, geometry) for row in rows]
    if collapsed:
        values = [*rows[-1].test["accuracy"].values[:-1], 0.1]
        rows[-1].test["accuracy"] = estimate(values)
    sizes = {"train": 1000, "val": 300, "test": 500, "classes": 10, "monitored": 256}
    sizes["seeds"] = planned_seeds or seeds
    return Summary(
        data=data,
        model="resnet-small",
        sizes=sizes,
        classes=[str(label) for label in range(10)],
        planned=[*variants, *waiting],
        variants=rows,
        chance=_CHANCE,
        command=f"layermix compare --data {data} --seeds {seeds}",
        config={
            "asked": {"data": {"data": data, "fixed_split": False}, "margin": 0.5, "looks": ()},
            "used": {"data": data, "flip": True, "norm_stats": "mixed"},
        },
        conditions={"torch": "2.11", "processor": "one <of> a kind"},
    )


def _variant(
    rng: np.random.Generator, name: str, place: int, seeds: int, blocks: tuple[str, ...]
) -> VariantSummary:
    def draw(mean: float, spread: float) -> list[float]:
        return [float(v) for v in rng.normal(mean, spread, seeds)]

    means = dict.fromkeys(METRICS, 0.03) | {"accuracy": 0.94 + 0.003 * place, "nll": 0.2}
    means |= {"brier": 0.1, "temperature": 0.8}
    measures = [{m: estimate(draw(means[m], 0.004)) for m in METRICS} for _ in range(3)]
    curve = _curve(rng, range(0, 21, 2), lambda e: 0.95 - 0.85 * float(np.exp(-e / 4)))
    epochs = range(0, 21, 2)
    snnl = {
        block: _curve(rng, epochs, lambda e, b=b: _CHANCE * (0.9 - 0.04 * e * b / len(blocks)))
        for b, block in enumerate(blocks)
    }
    return VariantSummary(
        name=name,
        seeds=list(range(seeds)),
        test=measures[0],
        val=measures[1],
        clean=measures[2],
        views=None,
        train_loss=_curve(rng, range(1, 21), lambda e: 2.3 * float(np.exp(-e / (4 + place)))),
        val_accuracy=curve,
        seed_curves={seed: [point.mean + 0.01 * seed for point in curve] for seed in range(seeds)},
        snnl=snnl,
        geometry={},
        geometry_end={},
        geometry_by_size={},
        reliability={},
        weights={},
        timings={
            "seconds": estimate(draw(20, 1)),
            "examples_per_second": estimate(draw(1500, 50)),
        },
    )


def _with_geometry(
    row: VariantSummary, seeds: int, blocks: tuple[str, ...], geometry: bool
) -> VariantSummary:
    """Add geometry to a variant: over all of training for ``none``, otherwise at the end."""
    rng = np.random.default_rng(1)
    epochs = range(0, 21, 2) if row.name == "none" else range(20, 21)
    names = list(QUANTITIES) if geometry else ["snnl"]
    curves: dict[str, dict[str, Curve]] = {name: {} for name in names}
    ends: dict[str, dict[str, dict[int, float]]] = {name: {} for name in names}
    for name in names:
        for place, block in enumerate(blocks):
            order = (place + 1) / len(blocks)
            curves[name][block] = _curve(
                rng, epochs, lambda e, n=name, o=order: made_value(n, o * e / 20)
            )
            noise = rng.normal(0, 0.05, seeds)
            ends[name][block] = {s: made_value(name, order + float(noise[s])) for s in row.seeds}
    weights = {b: _curve(rng, range(0, 21, 2), lambda e: 1 / len(blocks)) for b in blocks}
    choosing = row.name == "auto"
    found = {n: [Reliability(256, 4, 0.9, 1.0), Reliability(128, 4, 0.6, 0.8)] for n in names}
    return replace(
        row,
        geometry=curves,
        geometry_end=ends,
        geometry_by_size={256: ends, 128: ends} if geometry else {},
        reliability=found if row.name == "none" and geometry else {},
        weights=weights if choosing else {},
    )


def made_value(quantity: str, apart: float) -> float:
    """Return a value of a quantity for classes with a separation from 0 to 1."""
    if quantity in ("nc1", "fuzziness"):
        return 10 ** (3 - 4 * apart)
    return 0.1 + 0.8 * (apart if QUANTITIES[quantity].higher_is_better else 1 - apart)


def _curve(rng: np.random.Generator, epochs: range, mean) -> Curve:
    return [
        CurvePoint(e, m := float(mean(e) + rng.normal(0, 0.01)), m - 0.05, m + 0.05) for e in epochs
    ]


def _clean(accuracy: float) -> dict[str, dict[str, float]]:
    return {"test": {"accuracy": accuracy, "nll": 1 - accuracy, "brier": 0.2, "ece": 0.1}}


def summary_of(
    accuracy: Mapping[str, list[float] | dict[int, float]],
    val: dict[str, float] | None = None,
    looks: tuple[int, ...] = (),
    clean: Mapping[str, list[float]] | None = None,
    **test: float,
) -> Summary:
    """Return the summary of a study with these accuracies.

    `clean` are accuracies with clean norm statistics; `test` sets other test metrics.
    """
    rows = []
    by_seed = {
        name: dict(enumerate(a)) if isinstance(a, list) else a for name, a in accuracy.items()
    }
    for name, values in by_seed.items():
        results = {
            seed: RunResult(
                {"accuracy": value, "nll": 1 - value, "brier": 0.2, "ece": 0.1} | test,
                {"accuracy": (val or {}).get(name, value), "nll": 1.0, "brier": 0.2, "ece": 0.1},
                clean=_clean(clean[name][seed]) if clean else None,
                timings=_TIMINGS,
                records=[_RECORD],
            )
            for seed, value in values.items()
        }
        if results:
            rows.append(summarize_variant(name, results))
    sizes = _SIZES | {"seeds": max(map(len, by_seed.values()))}
    config = {"asked": {"data": {"fixed_split": False}, "margin": 0.5, "looks": looks}}
    return Summary("digits", "mlp", sizes, [], list(accuracy), rows, 2.0, "", config, {})

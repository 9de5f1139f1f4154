"""The results of a study on other data: corrupted images, other classes, shifted data.

A column of a table is one measured number of each run, such as the accuracy under one corruption.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from layermix.lab.evaluation import read_evaluation
from layermix.lab.study import StudyFolder
from layermix.reporting.statistics import BySeed, Estimate, Pair, estimate

Values = dict[str, BySeed]
"""A number of each run, by variant and seed."""

_ALL = "all"


@dataclass(frozen=True)
class OtherData:
    """Numbers of each run on other data, by heading; empty where nothing was evaluated."""

    corrupted: dict[str, Values]  # accuracy by corruption, mean over severities; "clean", "all"
    severities: dict[int, Values]  # accuracy by severity, mean over corruptions; 0 is unchanged
    ood: dict[str, Values]  # AUROC and FPR95 by data set and score
    shifted: dict[str, Values]  # accuracy, NLL and ECE by data set

    def mean(self, values: Values, variant: str) -> Estimate | None:
        """Return the mean of a variant over seeds, or None without a run."""
        found = list(values.get(variant, {}).values())
        return estimate(found) if found else None

    def gap(self, values: Values, variant: str, baseline: str) -> Estimate | None:
        """Return the paired difference of two variants, or None without a common seed."""
        one, other = (values.get(name, {}) for name in (variant, baseline))
        found = Pair(variant, baseline, "", one, other).differences
        return estimate(found) if found else None


def read_other_data(study: StudyFolder) -> OtherData | None:
    """Return the results of `layermix evaluate`; None if the study was not evaluated."""
    runs: dict[str, dict[int, dict[str, Any]]] = {}
    for cell, found in read_evaluation(study).items():
        runs.setdefault(cell.variant, {})[cell.seed] = found
    if not runs:
        return None
    first = next(iter(next(iter(runs.values())).values()))
    corruptions: dict[str, list[Any]] = first.get("corruptions", {})
    count = max(map(len, corruptions.values()), default=0)
    corrupted, severities = dict[str, Values](), dict[int, Values]()
    if corruptions:
        corrupted["clean"] = severities[0] = _values(runs, lambda run: run["clean"]["accuracy"])
        for name in corruptions:
            corrupted[name] = _values(runs, lambda run, n=name: _accuracy(run["corruptions"][n]))
        corrupted[_ALL] = _values(runs, lambda run: _accuracy(_all(run["corruptions"])))
    for k in range(count):
        severities[k + 1] = _values(
            runs, lambda run, k=k: _accuracy(rows[k] for rows in run["corruptions"].values())
        )
    return OtherData(corrupted, severities, _of_ood(runs, first), _of_shifted(runs, first))


_Runs = Mapping[str, Mapping[int, Mapping[str, Any]]]


def _of_ood(runs: _Runs, first: Mapping[str, Any]) -> dict[str, Values]:
    found = {}
    for name, scores in first.get("ood", {}).items():
        for score, metrics in scores.items():
            for metric in metrics:
                heading = f"{_short(name)}, {score}, {metric.upper()}"
                found[heading] = _values(
                    runs, lambda run, n=name, s=score, m=metric: run["ood"][n][s][m]
                )
    return found


def _of_shifted(runs: _Runs, first: Mapping[str, Any]) -> dict[str, Values]:
    found = {}
    for name in first.get("shifted", {}):
        for metric in ("accuracy", "nll", "ece"):
            heading = f"{_short(name)}, {metric if metric == 'accuracy' else metric.upper()}"
            found[heading] = _values(runs, lambda run, n=name, m=metric: run["shifted"][n][m])
    return found


def _values(runs: _Runs, read: Callable[[Any], float]) -> Values:
    return {
        variant: {seed: read(run) for seed, run in by_seed.items()}
        for variant, by_seed in runs.items()
    }


def _all(corruptions: Mapping[str, list[Any]]) -> Iterable[Any]:
    return (row for rows in corruptions.values() for row in rows)


def _accuracy(rows: Iterable[Mapping[str, float]]) -> float:
    return fmean(row["accuracy"] for row in rows)


def _short(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]

"""The results of a study on other data: corrupted images, other classes, shifted data.

A column of a table is one measured number of each run, such as the accuracy under one corruption.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
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
    missing: int  # number of finished runs that were not evaluated

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
    evaluated = [run for by_seed in runs.values() for run in by_seed.values()]
    missing = len(study.finished()) - len(evaluated)
    corruptions: dict[str, list[Any]] = _union(evaluated, "corruptions")
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
    ood, shifted = _union(evaluated, "ood"), _union(evaluated, "shifted")
    return OtherData(corrupted, severities, _of_ood(runs, ood), _of_shifted(runs, shifted), missing)


def _union(runs: Iterable[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    """Return the results of a kind, by name, of any run that has them."""
    return {name: found for run in runs for name, found in run.get(kind, {}).items()}


_Runs = Mapping[str, Mapping[int, Mapping[str, Any]]]


def _of_ood(runs: _Runs, sets: Mapping[str, Any]) -> dict[str, Values]:
    found, short = {}, _short(sets)
    for name, scores in sets.items():
        for score, metrics in scores.items():
            for metric in metrics:
                heading = f"{short[name]}, {score}, {metric.upper()}"
                found[heading] = _values(
                    runs, lambda run, n=name, s=score, m=metric: run["ood"][n][s][m]
                )
    return found


def _of_shifted(runs: _Runs, sets: Mapping[str, Any]) -> dict[str, Values]:
    found, short = {}, _short(sets)
    for name in sets:
        for metric in ("accuracy", "nll", "ece"):
            heading = f"{short[name]}, {metric if metric == 'accuracy' else metric.upper()}"
            found[heading] = _values(runs, lambda run, n=name, m=metric: run["shifted"][n][m])
    return found


def _values(runs: _Runs, read: Callable[[Any], float]) -> Values:
    """Return a number of each run that has it."""
    found: Values = {variant: {} for variant in runs}
    for variant, by_seed in runs.items():
        for seed, run in by_seed.items():
            with suppress(KeyError):  # not evaluated on these data
                found[variant][seed] = read(run)
    return found


def _all(corruptions: Mapping[str, list[Any]]) -> Iterable[Any]:
    return (row for rows in corruptions.values() for row in rows)


def _accuracy(rows: Iterable[Mapping[str, float]]) -> float:
    return fmean(row["accuracy"] for row in rows)


def _short(names: Iterable[str]) -> dict[str, str]:
    """Return the shortest ends of paths that are different."""
    parts = {name: name.rstrip("/").split("/") for name in names}
    count = 1
    while len({tuple(each[-count:]) for each in parts.values()}) < len(parts):
        count += 1
    return {name: "/".join(each[-count:]) for name, each in parts.items()}

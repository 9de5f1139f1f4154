"""The summary of a study: the numbers that all formats of the report show."""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from layermix.errors import InputError
from layermix.experiments.store import RunResult, read_json
from layermix.experiments.study import Study, as_json
from layermix.reporting.configuration import compare_command, used_settings
from layermix.reporting.statistics import (
    BASELINES,
    BySeed,
    Difference,
    Prediction,
    differences,
    predict,
)
from layermix.reporting.variant import VariantSummary, summarize_variant
from layermix.reporting.verdict import Verdict, conclude

BETWEEN_RUNS = " / "  # between the values of a condition that differs from run to run


@dataclass(frozen=True)
class Summary:
    """The results of a study.

    Attributes
    ----------
    data, model
        Names of the data set and the model.
    sizes
        Number of ``train``, ``val`` and ``test`` images, of ``classes``, of planned ``seeds``,
        and of examples in the ``monitored`` batch.
    classes
        Names of the classes.
    planned
        Names of all variants, in the order of the study.
    variants
        Results of the variants that have a finished run; at least one.
    chance
        SNNL of the monitored batch in nats if all classes overlapped.
    command
        The command line that repeats the study.
    config
        The configuration as ``asked``, a nested dict, and the value of each setting as ``used``.
    conditions
        Versions and hardware by name; if the runs differ, all values, joined by `BETWEEN_RUNS`.
    failed
        Seeds of the runs that failed or were stopped, and are not repeated yet, by variant.
    """

    data: str
    model: str
    sizes: dict[str, int]
    classes: list[str]
    planned: list[str]
    variants: list[VariantSummary]
    chance: float
    command: str
    config: dict[str, Any]
    conditions: dict[str, str]
    failed: dict[str, list[int]] = field(default_factory=dict)

    @cached_property
    def accuracy(self) -> dict[str, BySeed]:
        """Test accuracy of every finished run, by variant and seed."""
        return {row.name: row.accuracy for row in self.variants}

    @cached_property
    def differences(self) -> dict[str, list[Difference]]:
        """Paired differences of test accuracy as shares (0.01 is one point), by baseline."""
        found = {b: differences(self.accuracy, b) for b in BASELINES if b in self.accuracy}
        return {baseline: gaps for baseline, gaps in found.items() if gaps}

    @cached_property
    def verdict(self) -> Verdict:
        """The best variant, and the result of the claim *final beats input*."""
        return conclude(self.planned, self.variants, self.failed)

    @cached_property
    def prediction(self) -> Prediction:
        """Rank correlations between the geometry of layers and the gain from mixing there."""
        values = self.unmixed.geometry_end if self.unmixed else {}
        return predict(list(self.variants[0].snnl), values, self.accuracy)

    @property
    def fixed_split(self) -> bool:
        """True if all seeds have the same split of the data."""
        return self.config["asked"]["data"]["fixed_split"]

    @property
    def unit(self) -> str:
        """The repetitions of which intervals show the variation, as text."""
        return "seeds on one split" if self.fixed_split else "splits and seeds"

    @property
    def unmixed(self) -> VariantSummary | None:
        """The results without mixing, or None if no run without mixing is finished."""
        return next((row for row in self.variants if row.name == "none"), None)

    @property
    def done(self) -> int:
        """The number of finished runs."""
        return sum(len(row.seeds) for row in self.variants)

    @property
    def total(self) -> int:
        """The number of planned runs."""
        return len(self.planned) * self.sizes["seeds"]

    def variant(self, name: str) -> VariantSummary | None:
        """Return the results of a variant, or None if no run of it is finished."""
        return next((row for row in self.variants if row.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Return all numbers as a dict for JSON, with the times separate, as ``timings``."""
        content = asdict(self)
        timings = {row["name"]: row.pop("timings") for row in content["variants"]}
        content["verdict"] = asdict(self.verdict)
        content["differences"] = {b: list(map(asdict, d)) for b, d in self.differences.items()}
        return content | {"prediction": asdict(self.prediction), "timings": timings}


def summarize(study: Study) -> Summary:
    """Summarize the finished runs of a study.

    Raises
    ------
    InputError
        If no run is finished.
    """
    results = study.results()
    if not results:
        raise InputError(f"no run of the study in {study.folder} is finished yet")
    runs: dict[str, dict[int, RunResult]] = {name: {} for name in study.config.variants}
    for cell, result in results.items():
        runs[cell.variant][cell.seed] = result
    cell, first = next(iter(results.items()))
    run_config = read_json(study.path(cell) / "config.json")
    failed: dict[str, list[int]] = {}
    for stopped in study.failed():
        failed.setdefault(stopped.variant, []).append(stopped.seed)
    conditions = _joined([result.conditions for result in results.values()])
    used = used_settings(study.config, run_config, first.subset, conditions["device"])
    return Summary(
        data=study.config.data.data.rstrip("/").rpartition("/")[2],
        model=study.config.model,
        sizes={**first.sizes, "seeds": len(study.config.seeds)},
        classes=first.classes,
        planned=list(runs),
        variants=[summarize_variant(name, by_seed) for name, by_seed in runs.items() if by_seed],
        chance=next(iter(first.records[0]["snnl"].values()))["chance"],
        command=compare_command(study.config),
        config={"asked": as_json(study.config), "used": used},
        conditions=conditions,
        failed=failed,
    )


def _joined(conditions: list[dict[str, str]]) -> dict[str, str]:
    return {
        k: BETWEEN_RUNS.join(dict.fromkeys(each[k] for each in conditions)) for k in conditions[0]
    }

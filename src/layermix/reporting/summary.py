"""The summary of a study: the numbers that all formats of the report show."""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from layermix.lab.tuning import Try
from layermix.reporting.condition_groups import ConditionGroup
from layermix.reporting.other_data import OtherData
from layermix.reporting.statistics import (
    BySeed,
    Difference,
    Estimate,
    Look,
    Pair,
    Scale,
    estimate,
    look_at,
    scales,
)
from layermix.reporting.stored_predictions import PredictionSummary
from layermix.reporting.variant import VariantSummary
from layermix.reporting.verdict import Verdict, baseline_of, conclude, paired


@dataclass(frozen=True)
class Summary:
    """The results of a study.

    Attributes
    ----------
    data, model
        Names of the data set and the model.
    sizes
        Number of ``train``, ``val`` and ``test`` examples, of ``classes``, of planned ``seeds``,
        and of examples in the ``monitored`` batch.
    classes
        Names of the classes.
    planned
        Names of all variants, in the order of the study.
    variants
        Results of the variants that have a finished run; at least one.
    chance
        SNNL of the monitored batch in nats if all classes overlapped; None if not measured.
    command
        The command line that repeats the study.
    config
        The configuration as ``asked``, a nested dict, and the value of each setting as ``used``.
    conditions
        Versions and hardware by name; if the runs differ, all values, joined by `BETWEEN_RUNS`.
    groups
        Runs with equal versions and hardware.
    warnings
        Warnings of the runs, with the variants that have them.
    failed
        Seeds of the runs that failed or were stopped, and are not repeated yet, by variant.
    damaged
        Runs that are left out because their files are damaged, with the reason.
    grown
        Earlier stages of the study, before seeds or variants were added.
    predictions
        Results from the stored logits, or None if a run has none.
    tries
        Settings that were tried to tune the variants, with their validation results.
    other_data
        Results on corrupted, shifted and other data, or None if the study was not evaluated.
    """

    data: str
    model: str
    sizes: dict[str, int]
    classes: list[str]
    planned: list[str]
    variants: list[VariantSummary]
    chance: float | None
    command: str
    config: dict[str, Any]
    conditions: dict[str, str]
    groups: list[ConditionGroup] = field(default_factory=list)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, list[int]] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    grown: list[dict[str, Any]] = field(default_factory=list)
    predictions: PredictionSummary | None = None
    tries: list[Try] = field(default_factory=list)
    other_data: OtherData | None = None

    @cached_property
    def accuracy(self) -> dict[str, BySeed]:
        """Test accuracy of every finished run, by variant and seed."""
        return {row.name: row.accuracy for row in self.variants}

    @property
    def margin(self) -> float:
        """The margin of practical equality, as a share (0.005 is half a point)."""
        return self.config["asked"]["margin"] / 100

    @cached_property
    def scales(self) -> dict[str, Scale]:
        """The metrics with verdicts: their margins, and if higher values are better."""
        return scales(self.margin, self.sizes["classes"])

    @cached_property
    def look(self) -> Look:
        """The look at the study that its finished seeds have reached."""
        finished = min(len(row.seeds) for row in self.variants)
        return look_at(finished, tuple(self.config["asked"]["looks"]))

    @cached_property
    def verdict(self) -> Verdict:
        """The best variant, and the result of the claim *final beats input*."""
        return conclude(self.planned, self.variants, self.scales, self.look, self.failed)

    @property
    def first(self) -> str:
        """The first measured layer: the input, or the embedding of tokens."""
        return next(iter(self.variants[0].snnl), "input")

    @property
    def is_decided(self) -> bool:
        """True if *final beats input* or, if it is not tested, the winner has a verdict."""
        gap = self.verdict.claim.gap or self.verdict.gap
        return gap is not None and gap.outcome not in ("undecided", "too few seeds")

    @property
    def family(self) -> list[Difference]:
        """All comparisons with the baseline, which are corrected together."""
        return self.verdict.family

    @property
    def baseline(self) -> str | None:
        """The variant with which all others are compared."""
        return baseline_of(row.name for row in self.variants)

    def difference(self, variant: str, metric: str) -> Difference | None:
        """Return the difference of a variant from the baseline, if they share a seed."""
        found = (d for d in self.family if (d.variant, d.metric) == (variant, metric))
        return next(found, None)

    def gap(self, variant: str, metric: str, *, clean: bool = False) -> Estimate | None:
        """Return the paired difference from the baseline in any metric, without a verdict."""
        one, other = self.variant(variant), self.variant(self.baseline or "")
        values = paired(one, other, metric, clean=clean) if one and other else []
        return estimate(values) if values else None

    def change(self, variant: str, metric: str) -> Estimate | None:
        """Return the paired change of a metric by clean norm statistics: clean minus as trained."""
        row = self.variant(variant)
        before, after = (row.values(metric, clean=c) if row else {} for c in (False, True))
        values = Pair(variant, variant, metric, after, before).differences
        return estimate(values) if values else None

    @property
    def gains(self) -> dict[str, BySeed]:
        """Test accuracy with mixing at a measured layer minus without mixing, by layer and seed."""
        layers = [p for p in self.variants[0].snnl if p in self.accuracy]
        without = self.accuracy.get("none", {})
        return {
            layer: {s: v - without[s] for s, v in self.accuracy[layer].items() if s in without}
            for layer in layers
        }

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
        return content | {"look": asdict(self.look), "timings": timings}

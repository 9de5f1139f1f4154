"""The summary: the one object from which every form of the answer is made.

It holds all that the finished runs of a study say, and nothing of how it is shown.
"""

from dataclasses import asdict, dataclass
from typing import Any

from layermix.errors import InputError
from layermix.experiments.store import read_json
from layermix.experiments.study import Study, as_json
from layermix.reporting.command import compare_command
from layermix.reporting.notes import Results
from layermix.reporting.settings import used_settings
from layermix.reporting.statistics.prediction import Prediction, predict
from layermix.reporting.statistics.stats import BASELINES, Difference, differences
from layermix.reporting.variant import VariantSummary, summarize_variant
from layermix.reporting.verdict import Verdict, accuracy_by_seed, judge


@dataclass(frozen=True)
class Summary:
    """What a study says.

    Attributes
    ----------
    data, model
        Names of the data set and the model.
    sizes
        Number of ``train``, ``val`` and ``test`` images, of ``classes``, of planned ``seeds``,
        and of examples in the ``monitored`` batch.
    classes
        Names of the classes; their numbers where the runs hold no names.
    verdict
        The answer in words.
    planned
        Names of all variants, in the order of the study.
    variants
        Those of them that have a finished run.
    differences
        Test accuracy compared pairwise with each baseline, as shares (0.01 is one point).
    prediction
        Whether a layer's geometry predicts what mixing there gains.
    chance
        The SNNL that classes lying over one another would have on the monitored batch.
    command
        The command line that repeats the study.
    config
        The configuration: as it was ``asked`` for, by level, and each setting as it was ``used``.
    conditions
        Versions and hardware.
    """

    data: str
    model: str
    sizes: dict[str, int]
    classes: list[str]
    verdict: Verdict
    planned: list[str]
    variants: list[VariantSummary]
    differences: dict[str, list[Difference]]
    prediction: Prediction
    chance: float
    command: str
    config: dict[str, Any]
    conditions: dict[str, str]

    def variant(self, name: str) -> VariantSummary:
        """Return the summary of a variant that has a finished run."""
        return next(row for row in self.variants if row.name == name)

    def rows(self) -> list[tuple[str, str, VariantSummary | None]]:
        """Return name, seeds and summary of all planned variants, as tables list them.

        Seeds are a number, or ``2/8`` in a study that is not finished; a variant without a
        finished run has no summary.
        """
        found = {row.name: row for row in self.variants}
        counts = {name: len(found[name].seeds) if name in found else 0 for name in self.planned}
        planned = self.sizes["seeds"]
        finished = all(count == planned for count in counts.values())
        return [
            (name, str(count) if finished else f"{count}/{planned}", found.get(name))
            for name, count in counts.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON has it, timings apart under one key of their own."""
        content = asdict(self)
        timings = {row["name"]: row.pop("timings") for row in content["variants"]}
        return {**content, "timings": timings}


def summarize(study: Study) -> Summary:
    """Summarize the finished runs of a study.

    Raises
    ------
    InputError
        When no run is finished.
    """
    results = study.results()
    if not results:
        raise InputError(f"no run of the study in {study.folder} is finished yet")
    runs: Results = {name: {} for name in study.config.variants}
    for cell, result in results.items():
        runs[cell.variant][cell.seed] = result
    cell, first = next(iter(results.items()))
    sizes = {**first.sizes, "seeds": len(study.config.seeds)}
    data, model = study.config.data.data.rstrip("/").rpartition("/")[2], study.config.model
    variants = [summarize_variant(name, own) for name, own in runs.items() if own]
    return Summary(
        data=data,
        model=model,
        sizes=sizes,
        classes=first.classes or [str(label) for label in range(sizes["classes"])],
        verdict=judge(data, model, sizes, runs),
        planned=list(runs),
        variants=variants,
        differences=compared(runs),
        prediction=foretold(variants, runs),
        chance=next(iter(first.records[0]["snnl"].values()))["chance"],
        command=compare_command(study.config),
        config={
            "asked": as_json(study.config),
            "used": used_settings(study, read_json(study.path(cell) / "config.json"), first.subset),
        },
        conditions=study.conditions,
    )


def compared(runs: Results) -> dict[str, list[Difference]]:
    """Return the paired differences of test accuracy from each baseline that has runs."""
    accuracy = accuracy_by_seed(runs)
    return {name: differences(accuracy, name) for name in BASELINES if name in accuracy}


def foretold(variants: list[VariantSummary], runs: Results) -> Prediction:
    """Return how the layers of the net without mixing foretell what mixing there gains."""
    unmixed = next((row for row in variants if row.name == "none"), None)
    values = unmixed.geometry_end if unmixed else {}
    return predict(list(variants[0].snnl), values, accuracy_by_seed(runs))

"""Ask over several studies if a measure of layers predicts where mixing gains most.

The measure, the number of examples N and the norm statistics are named in ``meta-plan.json``,
which is written before the studies are read, and are never changed afterwards.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from layermix.errors import InputError, unknown
from layermix.geometry import QUANTITIES
from layermix.lab import store
from layermix.lab.study import StudyFolder
from layermix.reporting.statistics import RELIABLE, detectable
from layermix.reporting.statistics.mixed_model import MIN_LAYERS, Layers, MetaResult, analyze
from layermix.reporting.study_summary import summarize
from layermix.reporting.summary import Summary

_FILE = "meta-plan.json"
_USUAL_LAYERS = 5


@dataclass(frozen=True)
class MetaPlan:
    """The question that is fixed before the studies are read."""

    measure: str = "snnl"
    size: int = 256  # number of examples of a batch, N
    norm_stats: str = "clean"  # gains with ``"clean"`` norm statistics or ``"as trained"``
    pairs: int = 24  # planned number of pairs of data and model
    reliability: float = RELIABLE  # studies with a less reliable measure are left out

    @property
    def detectable(self) -> float:
        """The mean rho that the planned pairs show with probability 0.8.

        The spread of rho over pairs is that of unrelated orders of 5 layers, 1 / sqrt(5 - 1).
        """
        return detectable(1 / math.sqrt(_USUAL_LAYERS - 1), self.pairs)


@dataclass(frozen=True)
class MetaStudy:
    """The result over studies: the plan, the pairs that were used, and those left out."""

    plan: MetaPlan
    pairs: list[Layers]
    left_out: dict[str, str]  # the reason for each study
    result: MetaResult | None  # None without a pair
    detectable: float  # mean rho that so many pairs show with probability 0.8


def hold_to_plan(plan: MetaPlan, folder: Path) -> MetaPlan:
    """Write the plan into a folder, or check that it is the one that the folder has."""
    if plan.measure not in QUANTITIES:
        raise unknown("measure", plan.measure, QUANTITIES)
    if plan.pairs < 2 or plan.size < 2:
        raise InputError(f"pairs and size are {plan.pairs} and {plan.size}, but must be 2 or more")
    path = folder / _FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        store.write_json(path, asdict(plan))
        return plan
    found = store.read_typed(MetaPlan, path)
    for name, value in asdict(plan).items():
        if value != getattr(found, name):
            raise InputError(
                f"the plan in {path} has {name} = {getattr(found, name)!r} instead of {value!r}: "
                "keep to the plan, or use another --out"
            )
    return found


def run_meta(studies: Sequence[StudyFolder], plan: MetaPlan) -> MetaStudy:
    """Analyze the finished studies; studies of the same data and model count as one pair."""
    found: dict[tuple[str, str], list[Layers]] = {}
    left_out = {}
    for study in studies:
        summary = summarize(study)
        layers = layers_of(summary, plan)
        if isinstance(layers, str):
            left_out[str(study.folder)] = layers
        else:
            found.setdefault((layers.data, layers.model), []).append(layers)
    pairs = []
    for same in found.values():
        if len({each.names for each in same}) > 1:
            left_out[f"{same[0].data} {same[0].model}"] = "its studies have different layers"
        else:
            pairs.append(_mean(same))
    expected = 1 if QUANTITIES[plan.measure].higher_is_better else -1
    result = analyze(pairs, expected) if pairs else None
    spread = 1 / math.sqrt(_USUAL_LAYERS - 1)
    return MetaStudy(plan, pairs, left_out, result, detectable(spread, len(pairs)))


def layers_of(summary: Summary, plan: MetaPlan) -> Layers | str:
    """Return the layers of a study, or the reason why it cannot be used."""
    row, clean = summary.unmixed, plan.norm_stats == "clean"
    if row is None:
        return "it has no finished run without mixing"
    if summary.done < summary.total:
        return f"only {summary.done} of its {summary.total} runs are finished"
    rows = row.reliability.get(plan.measure, [])
    reliability = next((each for each in rows if each.size == plan.size), None)
    if reliability is None:
        return f"{plan.measure} was not measured on batches of {plan.size}"
    if reliability.value < plan.reliability:
        return f"the reliability of {plan.measure} is {reliability.value:.2f}"
    values = row.geometry_by_size[plan.size].get(plan.measure, {})
    gains = {}
    for name in row.snnl:
        gap = summary.gap(name, "accuracy", clean=clean and bool(row.clean))
        if gap and name in values and name != "none":
            gains[name] = 100 * gap.mean
    if len(gains) < MIN_LAYERS:
        return f"it has {len(gains)} layers that are measured and mixed; {MIN_LAYERS} are needed"
    return Layers(
        summary.config["asked"]["data"]["data"],
        summary.model,
        tuple(gains),
        tuple(fmean(values[name].values()) for name in gains),
        tuple(gains.values()),
    )


def _mean(same: Sequence[Layers]) -> Layers:
    """Return the mean of several studies of the same data and model."""
    measure, gain = (
        tuple(map(fmean, zip(*rows, strict=True)))
        for rows in ([each.measure for each in same], [each.gain for each in same])
    )
    return Layers(same[0].data, same[0].model, same[0].names, measure, gain)

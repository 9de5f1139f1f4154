"""The summary: the one object from which every form of the answer is made.

It holds all that the finished runs of a study say, and nothing of how it is shown.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from layermix.errors import InputError
from layermix.lab.command import compare_command
from layermix.lab.run import RunConfig
from layermix.lab.stats import Difference, Estimate, differences, estimate
from layermix.lab.store import read_epochs, read_json
from layermix.lab.study import Study, as_json
from layermix.lab.verdict import Verdict, judge

MEASURES = ("accuracy", "nll", "brier", "ece")
BASELINES = ("none", "input")


@dataclass(frozen=True)
class CurvePoint:
    """Mean over seeds of something after an epoch, with its interval where there is one."""

    epoch: int
    mean: float
    low: float | None
    high: float | None


Curve = list[CurvePoint]


@dataclass(frozen=True)
class VariantSummary:
    """What the runs of one variant say.

    Attributes
    ----------
    name
        The variant.
    seeds
        The seeds that are finished.
    test, val
        Each of `MEASURES` on test and on validation data.
    train_loss, val_accuracy
        Curves over epochs.
    snnl
        For each mix point the SNNL over epochs, on the fixed held-out batch.
    timings
        ``seconds`` of training and ``images_per_second``; the only numbers that differ between
        two runs of the same study.
    """

    name: str
    seeds: list[int]
    test: dict[str, Estimate]
    val: dict[str, Estimate]
    train_loss: Curve
    val_accuracy: Curve
    snnl: dict[str, Curve]
    timings: dict[str, Estimate]


@dataclass(frozen=True)
class Summary:
    """What a study says.

    Attributes
    ----------
    data, net
        Names of the data set and the net.
    sizes
        Number of ``train``, ``val`` and ``test`` images, of ``classes``, of planned ``seeds``,
        and of examples in the ``watched`` batch.
    verdict
        The answer in words.
    variants
        In the order of the study.
    differences
        Test accuracy compared pairwise with each baseline, as shares (0.01 is one point).
    chance
        The SNNL that classes lying over one another would have on the watched batch.
    command
        The command line that repeats the study.
    config
        The whole configuration.
    conditions
        Versions and hardware.
    """

    data: str
    net: str
    sizes: dict[str, int]
    verdict: Verdict
    variants: list[VariantSummary]
    differences: dict[str, list[Difference]]
    chance: float
    command: str
    config: dict[str, Any]
    conditions: dict[str, str]

    def variant(self, name: str) -> VariantSummary:
        """Return the summary of one variant."""
        return next(row for row in self.variants if row.name == name)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON has it, timings apart under one key of their own."""
        content = asdict(self)
        timings = {row["name"]: row.pop("timings") for row in content["variants"]}
        return {**content, "timings": timings}


def summarise(study: Study) -> Summary:
    """Summarise the finished runs of a study.

    Raises
    ------
    InputError
        When no run is finished.
    """
    finished = study.finished()
    if not finished:
        raise InputError(f"no run of the study in {study.folder} is finished yet")
    results = {cell: read_json(study.path(cell) / "result.json") for cell in finished}
    epochs = {cell: read_epochs(study.path(cell)) for cell in finished}
    rows = []
    for name in study.config.variants:
        cells = [cell for cell in finished if cell.variant == name]
        if cells:
            rows.append(_variant(name, cells, results, epochs))
    accuracy = {
        row.name: dict(zip(row.seeds, row.test["accuracy"].values, strict=True)) for row in rows
    }
    compared = {
        baseline: differences(accuracy, baseline) for baseline in BASELINES if baseline in accuracy
    }
    data, net = study.config.data.data.rstrip("/").rpartition("/")[2], study.config.net
    sizes = {**results[finished[0]]["sizes"], "seeds": len(study.config.seeds)}
    return Summary(
        data=data,
        net=net,
        sizes=sizes,
        verdict=judge(data, net, sizes, {row.name: row.val for row in rows}, accuracy),
        variants=rows,
        differences=compared,
        chance=_chance(epochs[finished[0]]),
        command=compare_command(study.config),
        config=as_json(study.config),
        conditions=study.conditions,
    )


def _variant(
    name: str, cells: list[RunConfig], results: dict[RunConfig, Any], epochs: dict[RunConfig, Any]
) -> VariantSummary:
    own = [results[cell] for cell in cells]
    records = [epochs[cell] for cell in cells]
    points = records[0][0]["snnl"]
    return VariantSummary(
        name=name,
        seeds=[cell.seed for cell in cells],
        test={m: estimate([result["test"][m] for result in own]) for m in MEASURES},
        val={m: estimate([result["val"][m] for result in own]) for m in MEASURES},
        train_loss=_curve(records, lambda record: record.get("train_loss")),
        val_accuracy=_curve(records, lambda record: record.get("val_accuracy")),
        snnl={
            p: _curve(records, lambda r, p=p: r["snnl"][p]["value"] if "snnl" in r else None)
            for p in points
        },
        timings={
            t: estimate([result["timings"][t] for result in own])
            for t in ("seconds", "images_per_second")
        },
    )


def _curve(
    runs: Iterable[list[dict[str, Any]]], read: Callable[[dict[str, Any]], float | None]
) -> Curve:
    """Return mean and interval over runs of what `read` finds, epoch by epoch."""
    curve = []
    for records in zip(*runs, strict=True):
        values = [value for record in records if (value := read(record)) is not None]
        if values:
            found = estimate(values)
            curve.append(CurvePoint(records[0]["epoch"], found.mean, found.low, found.high))
    return curve


def _chance(records: list[dict[str, Any]]) -> float:
    return next(iter(records[0]["snnl"].values()))["chance"]

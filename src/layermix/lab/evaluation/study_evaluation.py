"""Evaluate the runs of a study on other data, from their stored weights, without training.

    STUDY/evaluation/RUN.json    metrics of one run, named as its folder

All variants of a seed are evaluated on the same corrupted images. Further evaluations add to the
results of earlier ones.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from layermix.errors import InputError, RunError, unknown
from layermix.lab import store
from layermix.lab.data import Dataset, Split
from layermix.lab.data.other import read_inputs, read_split
from layermix.lab.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupted
from layermix.lab.evaluation.out_of_distribution import detection
from layermix.lab.models import Factory
from layermix.lab.models.build import load_weights
from layermix.lab.run_setup import fresh_model, load_once
from layermix.lab.store import RunConfig
from layermix.lab.study import StudyFolder
from layermix.lab.training.environment import cpu_settings, pick_device
from layermix.lab.training.logits import as_stored, predict_logits
from layermix.lab.training.metrics import main_metrics

_FOLDER, _KINDS = "evaluation", ("corruptions", "ood", "shifted")
_Metrics = dict[str, float | None]
_TOLERANCE = 0.002  # of the accuracy on unchanged test data, if the hardware differs


@dataclass(frozen=True)
class _Evaluation:
    """The evaluation of a run, whose result has the hash `run`."""

    run: str
    clean: _Metrics
    corruptions: dict[str, list[_Metrics]] = field(default_factory=dict)
    ood: dict[str, dict[str, _Metrics]] = field(default_factory=dict)
    shifted: dict[str, _Metrics] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluationConfig:
    """The data on which a study is evaluated."""

    corruptions: tuple[str, ...] = tuple(CORRUPTIONS)
    """Corruptions of the test images: noise, blur, contrast, brightness, jpeg, pixelate, rotation,
    shear and zoom, each at five severities."""
    ood: tuple[str, ...] = ()
    """Data sets of other classes, which are to be detected: a hub id, folder or file each."""
    shifted: tuple[str, ...] = ()
    """Other data of the same classes, with labels: a hub id, folder or file each."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `mps`, or a device such as `cuda:1`."""


def evaluate_study(
    study: StudyFolder,
    config: EvaluationConfig,
    *,
    workers: int | None = None,
    console: Console | None = None,
    factory: Factory | None = None,
) -> Path:
    """Evaluate all finished runs of a study; return the folder of the results.

    A `factory` builds the model, if the study has one that cannot be imported by its name. An
    unknown corruption, data that do not suit the study, or runs without weights raise an
    `InputError`. Weights that do not reproduce the run's accuracy raise a `RunError`.
    """
    import joblib

    data = load_once(study.config.data, study.config.seeds[0])
    config = _checked(config, data)
    if factory is None:
        study.require_trust()
    cells = study.finished()
    if not cells:
        raise InputError(f"no run of the study in {study.folder} is finished yet")
    if missing := [c.name for c in cells if not (study.path(c) / store.WEIGHTS).exists()]:
        raise InputError(
            f"the run {missing[0]} has no weights, which an evaluation needs: they were left out "
            "by --weights, or by a training function of your own"
        )
    folder = study.folder / _FOLDER
    folder.mkdir(exist_ok=True)
    others, known = _others(study, config, data), read_evaluation(study)
    earlier = {cell.folder_name: content for cell, content in known.items()}
    by_seed = [list(group) for _, group in groupby(cells, lambda cell: cell.seed)]
    count = workers or (joblib.cpu_count() if pick_device(config.device).type == "cpu" else 1)
    parallel = joblib.Parallel(min(count, len(by_seed)), return_as="generator_unordered")
    settings = (config, others, factory)
    jobs = (joblib.delayed(_evaluate_seed)(study, group, *settings) for group in by_seed)
    with joblib.parallel_config("loky", inner_max_num_threads=study.config.threads):
        outcomes: Any = parallel(jobs)
        for number, found in enumerate(outcomes, 1):
            for name, content in found.items():
                for kind, results in earlier.get(name, {}).items():
                    if kind in _KINDS:
                        content[kind] = results | content.get(kind, {})
                store.write_json(folder / f"{name}.json", content)
            if console:
                console.print(f"{number}/{len(by_seed)} seeds evaluated")
    return folder


def read_evaluation(study: StudyFolder) -> dict[RunConfig, dict[str, Any]]:
    """Return the evaluation of each run by its configuration; empty if there is none.

    The evaluation of a run that was trained again is left out.
    """
    folder = study.folder / _FOLDER
    paths = {cell: folder / f"{cell.folder_name}.json" for cell in study.finished()}
    found = {
        cell: store.read_typed(_Evaluation, path) for cell, path in paths.items() if path.exists()
    }
    return {
        cell: {kind: value for kind, value in vars(each).items() if value}
        for cell, each in found.items()
        if each.run == _hash(study, cell)
    }


def _hash(study: StudyFolder, cell: RunConfig) -> str:
    """Return the hash of a run's result, which has the times of its training."""
    return store.read_manifest(study.path(cell))["files"]["result.json"]["sha256"][:16]


def _checked(config: EvaluationConfig, data: Dataset) -> EvaluationConfig:
    for name in config.corruptions:
        if name not in CORRUPTIONS:
            raise unknown("corruption", name, CORRUPTIONS)
    if data.modality.name != "image" and config.corruptions != EvaluationConfig.corruptions:
        raise InputError(f"the data are {data.modality.noun}, but only images can be corrupted")
    if data.modality.name != "image":
        config = replace(config, corruptions=())
    if not (config.corruptions or config.ood or config.shifted):
        raise InputError(
            f"there are no other {data.modality.noun} to evaluate on: name data sets with --ood or "
            "--shifted"
        )
    return config


Others = Mapping[str, Mapping[str, Any]]


def _others(study: StudyFolder, config: EvaluationConfig, data: Dataset) -> Others:
    """Read the other data sets, as the modality stores them, by kind and name."""
    source = study.config.data
    return {
        "ood": {name: read_inputs(name, source, data) for name in config.ood},
        "shifted": {name: read_split(name, source, data) for name in config.shifted},
    }


def _evaluate_seed(
    study: StudyFolder,
    cells: list[RunConfig],
    config: EvaluationConfig,
    others: Others,
    factory: Factory | None,
) -> dict[str, dict[str, Any]]:
    """Return the evaluation of all runs of one seed, by name."""
    with warnings.catch_warnings(), cpu_settings(study.config.threads):
        warnings.simplefilter("ignore")
        device, data = pick_device(config.device), load_once(cells[0].data, cells[0].seed)
        data = data.to(device)
        sets = dict(_test_sets(config, data))
        found = {}
        for cell in cells:
            model = fresh_model(cell.model, data, cell.seed, factory)
            path = study.path(cell)
            load_weights(model, store.read_tensors(path, store.WEIGHTS), path / store.WEIGHTS)
            if cell.recipe.channels_last:  # as in training, with the same rounding
                model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            found[cell.folder_name] = {"run": _hash(study, cell)}
            found[cell.folder_name] |= _evaluate(model.to(device), data, sets, others)
            _require_same(study, cell, found[cell.folder_name]["clean"])
        return found


def _test_sets(config: EvaluationConfig, data: Dataset) -> Iterator[tuple[tuple[str, int], Split]]:
    images, labels = data.test.inputs, data.test.labels
    for name in config.corruptions:
        for severity in SEVERITIES:
            changed = corrupted(images, name, severity).to(images.device)
            yield (name, severity), Split(changed, labels)


def _evaluate(
    model: nn.Module, data: Dataset, sets: Mapping[tuple[str, int], Split], others: Others
) -> dict[str, Any]:
    device = data.test.labels.device

    def logits(split: Split) -> Tensor:
        return predict_logits(model, split, data.preprocess).cpu()

    def metrics(split: Split) -> dict[str, float]:
        return main_metrics(as_stored(logits(split)), split.labels)

    known = logits(data.test)
    found: dict[str, Any] = {"clean": main_metrics(as_stored(known), data.test.labels)}
    for (name, _), split in sets.items():
        found.setdefault("corruptions", {}).setdefault(name, []).append(metrics(split))
    for name, inputs in others["ood"].items():
        encoded = data.encode(inputs).to(device)
        labels = torch.zeros(len(encoded), dtype=torch.int64, device=device)
        found.setdefault("ood", {})[name] = detection(known, logits(Split(encoded, labels)))
    for name, split in others["shifted"].items():
        moved = Split(data.encode(split.inputs), split.labels).to(device)
        found.setdefault("shifted", {})[name] = metrics(moved)
    return found


def _require_same(study: StudyFolder, cell: RunConfig, clean: dict[str, float]) -> None:
    """Raise a `RunError` if the weights do not reproduce the accuracy of the run."""
    stored = store.read_result(study.path(cell)).test["accuracy"]
    if abs(clean["accuracy"] - stored) > _TOLERANCE:
        raise RunError(
            f"the weights of {cell.name} have a test accuracy of {clean['accuracy']:.4f}, but the "
            f"run recorded {stored:.4f}: its files or the code have changed"
        )

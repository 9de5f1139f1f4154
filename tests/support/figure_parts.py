"""Helpers of the tests of figures: the texts of a figure, and a study with saved features."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import torch

from layermix.lab import DataConfig, Recipe, RunResult, StudyConfig, StudyFolder
from layermix.reporting.figures import Figure
from stored_runs import write_run

SVG = "{http://www.w3.org/2000/svg}"


def texts(figure: Figure) -> list[str]:
    return ["".join(t.itertext()) for t in ElementTree.fromstring(figure.svg).iter(f"{SVG}text")]


def study_with_features(folder: Path) -> StudyFolder:
    config = StudyConfig(DataConfig(), "mlp", Recipe(), ("none", "input"), (0, 1))
    study = StudyFolder(config, folder)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(30) % 3
    noise = torch.randn(2, 30, 4, generator=generator)
    tensors = {
        "labels": labels,
        "start.block2": noise[0],
        "end.block2": noise[1] + 20 * labels[:, None],
        "end.final": noise[1].clone(),
    }
    cell = next(study.cells())
    result = RunResult({"accuracy": 0.5}, {"accuracy": 0.5})
    write_run(study.path(cell), cell, result, features=tensors)
    return study

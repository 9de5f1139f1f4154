"""Helpers of the tests of figures: the texts of a figure, and a study with saved features."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import torch
from safetensors.torch import save_file

from layermix.lab import DataConfig, Recipe, StudyConfig, StudyFolder
from layermix.reporting.figures import Figure

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
    run = study.path(next(study.cells()))
    run.mkdir(parents=True)
    save_file(tensors, run / "features.safetensors")
    return study

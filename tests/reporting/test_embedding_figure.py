"""Tests of the embedding figure: SNNL, legend of classes, and features of any scale."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch

from figure_parts import study_with_features, texts
from layermix.lab import DataConfig, Recipe, StudyConfig, StudyFolder
from layermix.reporting.figures.embedding import embedding, last_block, project
from layermix.reporting.figures.style import WIDTH


def test_embedding_plots_the_last_block_with_its_snnl(tmp_path):
    start, end = embedding(study_with_features(tmp_path), ["cat", "dog", "a$b"])
    assert (start.name, end.name) == ("embedding-start", "embedding-end")
    assert "block2, before training (run 'none', seed 0)" in texts(start)
    assert {"cat", "dog"} <= set(texts(end))
    for figure in (start, end):
        assert "t-SNE" in figure.caption
        assert "N = 30" in figure.caption
        value = re.search(r"SNNL (\d\.\d{3})", figure.caption)
        assert value is not None
        assert value[0] in "".join(texts(figure))


def test_embedding_is_omitted_without_features(tmp_path):
    study = StudyFolder(StudyConfig(DataConfig(), "mlp", Recipe(), ("none",), (0,)), tmp_path)
    assert embedding(study, ["0", "1"]) == []


def test_legend_groups_classes_beyond_the_first_20(tmp_path):
    _, end = embedding(study_with_features(tmp_path), [f"class{k}" for k in range(100)])
    shown = texts(end)
    assert [name for name in shown if name.startswith("class")] == [f"class{k}" for k in range(20)]
    assert "80 others" in shown
    assert "The first 20 of the 100 classes have colors" in end.caption
    assert float(ElementTree.fromstring(end.svg).attrib["viewBox"].split()[3]) < 1.3 * WIDTH


def test_legend_with_a_long_class_name_contains_the_others(tmp_path):
    names = ["automobile", "a rather long name of a class", "cat"]
    _, end = embedding(study_with_features(tmp_path), names)
    assert {"automobile", "cat"} <= set(texts(end))


@pytest.mark.parametrize("scale", [1e-30, 2.0**40, 1e37, 0.0])
def test_projection_is_finite_at_every_scale(scale):
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    found = project(x * scale)
    assert np.isfinite(found).all()
    if scale == 2.0**40:  # a power of two changes only the exponents
        assert (found == project(x)).all()


def test_projection_of_a_single_feature_is_finite():
    assert np.isfinite(project(torch.arange(30.0)[:, None])).all()


def test_last_block_has_the_highest_number():
    names = ("block2", "block10", "block9", "final", "input")
    assert last_block({f"end.{name}": torch.zeros(1) for name in names}) == "block10"
    assert last_block({"end.final": torch.zeros(1)}) == "final"

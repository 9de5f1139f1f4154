"""Tests of `compare` with a training function of one's own: what it may return, and its errors."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from layermix import experiments as ex
from layermix.errors import InputError, RunError
from layermix.lab.data import Dataset
from own_training import train_by_hand

DATA = ex.DataConfig(train_size=100)


def test_metrics_alone_are_enough(tmp_path: Path) -> None:
    def accuracies(variant: str, seed: int, data: Dataset, _: Any) -> Any:
        value = 0.9 + 0.01 * seed / 10 + (0.02 if variant == "final" else 0)
        return {"val": {"accuracy": value}, "test": {"accuracy": value}}

    study = ex.compare(accuracies, ["none", "final"], 8, out=tmp_path / "study", progress=False)
    assert study.summary().difference["final"] == pytest.approx(0.02)
    assert study.summary().verdict["final"] == "better"


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned None, but must return a mapping with the entries 'val' and 'test'"),
        ({"val": torch.zeros(3, 10), "test": 0}, r"the val logits are \(3, 10\), but must be"),
        ({"val": {"nll": 1.0}, "test": {}}, "must have an accuracy in"),
    ],
)
def test_wrong_result_raises(tmp_path: Path, returned: Any, message: str) -> None:
    def wrong(*_: Any) -> Any:
        return returned

    with pytest.raises(RunError, match=message):
        ex.compare(wrong, ["none"], 1, out=tmp_path / "study", progress=False)


def test_error_of_a_function_has_its_place(tmp_path: Path) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("no batches")

    with pytest.raises(
        RunError, match=r"ZeroDivisionError: no batches \(.*test_own_functions.py, line"
    ):
        ex.compare(broken, ["none"], 1, out=tmp_path / "study", progress=False)


def test_unknown_variant_of_a_function_raises_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="unknown variant 'finel': did you mean 'final'"):
        ex.compare(train_by_hand, ["finel"], 1, data=DATA, out=tmp_path / "study", progress=False)


def test_misspelled_variant_is_forgotten(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"data": DATA, "out": tmp_path / "study", "progress": False}
    with pytest.raises(RunError):
        ex.compare(train_by_hand, ["none", "finel"], 1, **settings)
    study = ex.compare(train_by_hand, ["none", "final"], 1, **settings)
    assert study.config.variants == ("none", "final")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"variants": "input"}, r"variants is 'input', but must be a list, such as \['input'\]"),
        ({"variants": ["auto"]}, "the variant 'auto' measures the layers in the built-in training"),
        ({"data": {"eval": (torch.zeros(4, 2), [0, 1, 0, 1])}}, "unknown split 'eval'"),
        ({"data": {"train": (torch.zeros(4, 2), [1] * 4)}}, "the data have one class, '1'"),
    ],
)
def test_wrong_settings_raise(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ex.compare(
            train_by_hand, **{"data": DATA, "out": tmp_path / "study", "progress": False} | changed
        )


def test_usual_names_of_splits_and_arrays_are_understood(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 5))
    y = np.where(x.sum(1) > 0, 3, 1)
    sizes = []

    def sized(variant: str, seed: int, data: Dataset, _: Any) -> Any:
        sizes.append((data.sizes, data.preprocess(data.val.inputs).dtype))
        return {name: torch.randn(data.sizes[name], 2) for name in ("val", "test")}

    parts = {"train": (x, y), "valid": (x[:20], y[:20]), "testing": (x[:30], y[:30])}
    ex.compare(sized, ["none"], 1, data=parts, out=tmp_path / "study", progress=False)
    assert sizes == [({"train": 60, "val": 20, "test": 30, "classes": 2}, torch.float32)]


def test_each_run_has_its_own_data_and_seeds(tmp_path: Path) -> None:
    found: list[tuple[float, ...]] = []

    def changes(variant: str, seed: int, data: Dataset, _: Any) -> Any:
        found.append((float(data.train.inputs.float().mean()), random.random(), np.random.rand()))
        data.train.inputs.add_(1)
        return {name: torch.randn(data.sizes[name], 10) for name in ("val", "test")}

    ex.compare(changes, ["none", "final"], 1, data=DATA, out=tmp_path / "s", progress=False)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (lambda n: torch.full((n, 10), 0.1), "logits are probabilities, whose rows sum to 1"),
        (lambda n: torch.full((n, 10), torch.nan), "logits have NaN: the training diverged"),
    ],
)
def test_wrong_logits_raise(tmp_path: Path, logits: Any, message: str) -> None:
    def wrong(variant: str, seed: int, data: Dataset, _: Any) -> Any:
        return {name: logits(data.sizes[name]) for name in ("val", "test")}

    with pytest.raises(RunError, match=message):
        ex.compare(wrong, ["none"], 1, data=DATA, out=tmp_path / "study", progress=False)


def test_warnings_of_runs_are_shown_and_reported(tmp_path: Path, capsys) -> None:
    def forgets(variant: str, seed: int, data: Dataset, _: Any) -> Any:
        matrix = {"accuracy": 0.5, "confusion": torch.eye(10)}
        return {"val": matrix, "test": matrix}

    study = ex.compare(forgets, ["none", "input"], 2, out=tmp_path / "study")
    shown = " ".join(capsys.readouterr().out.split())
    assert "Warning: the test metric 'confusion' is a float32 Tensor of shape (10, 10)" in shown
    text = " ".join(study.report().with_suffix(".md").read_text().split())
    assert "Warning of input: the training function mixed nothing for the variant 'input'" in text
    assert "None and input have equal results on every seed, because they do not mix" in text

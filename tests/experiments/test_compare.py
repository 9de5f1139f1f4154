"""Tests of `compare`: built-in training, training of one's own, and the study that it returns."""

import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from layermix import experiments as ex
from layermix.cli import run_cli
from layermix.errors import InputError, RunError
from layermix.lab.data import Dataset

RECIPE = ex.Recipe(epochs=2, batch_size=20, monitor=1, geometry=False)
DATA = ex.DataConfig(train_size=100)


def train(variant: str, seed: int, data: Dataset, mixer_factory: ex.MixerFactory) -> Any:
    """Train a small network by full batches, and return logits."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    mixer, optimizer = mixer_factory(net), torch.optim.AdamW(net.parameters(), 1e-2)
    x, y = data.preprocess(data.train.inputs), data.train.labels
    for _ in range(10):
        output, target = mixer(x, y)
        optimizer.zero_grad()
        target.loss(output).backward()
        optimizer.step()
    net.eval()
    return {name: net(data.preprocess(getattr(data, name).inputs)) for name in ("val", "test")}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> ex.Study:
    out = tmp_path_factory.mktemp("own") / "study"
    return ex.compare(train, ["none", "input", "final"], 6, data=DATA, out=out, progress=False)


def test_command_and_function_have_the_same_numbers(tmp_path: Path) -> None:
    words = "compare --train-size 100 --model mlp --variants none final --seeds 2 --epochs 2"
    words += " --batch-size 20 --monitor 1 --no-geometry --workers 1"
    run_cli([*words.split(), "--out", str(tmp_path / "a")])
    ex.compare(
        variants=["none", "final"],
        seeds=2,
        data=DATA,
        model="mlp",
        recipe=RECIPE,
        out=tmp_path / "b",
        workers=1,
        progress=False,
    )
    found = [json.loads((tmp_path / name / "results.json").read_text()) for name in "ab"]
    for content in found:
        del content["timings"]
    assert found[0] == found[1]


def test_logits_of_a_function_become_metrics(own: ex.Study) -> None:
    table = own.results()
    assert table[["variant", "seed"]].to_numpy().tolist()[:4] == [
        ["none", 0],
        ["input", 0],
        ["final", 0],
        ["none", 1],
    ]
    assert table.accuracy.between(0.3, 1).all()
    cell = own.finished()[2]
    data = ex.MixerFactory(cell.variant, cell.seed, own_data(cell))
    with torch.random.fork_rng():
        from layermix.lab.training.environment import RunSeeds

        torch.manual_seed(RunSeeds.of(cell.seed).init)
        logits = train(cell.variant, cell.seed, data.data, data)["test"]
    accuracy = float((logits.argmax(1) == data.data.test.labels).double().mean())
    row = table[(table.variant == cell.variant) & (table.seed == cell.seed)].iloc[0]
    assert row.accuracy == accuracy


def own_data(cell: ex.RunConfig) -> Dataset:
    from layermix.lab.data import load

    return load(cell.data, cell.seed)


def test_study_shows_itself(own: ex.Study) -> None:
    page = own._repr_html_()
    assert page.count("<table>") == 1
    assert "<svg" in page
    assert "The claim that mixing at the final layer beats mixing at the input" in page
    assert "variant" in str(own)
    summary = own.summary()
    assert list(summary.index) == ["none", "input", "final"]
    gaps = own.results().pivot(index="seed", columns="variant", values="accuracy")
    assert summary.difference["final"] == pytest.approx((gaps.final - gaps.none).mean())
    assert own.plot("differences").name == "differences"
    assert own.report().exists()
    with pytest.raises(InputError, match="unknown figure 'accuracies': did you mean 'accuracy'"):
        own.plot("accuracies")


def test_report_of_own_training_has_no_recipe(own: ex.Study) -> None:
    text = (own.folder / "report.md").read_text()
    assert "weight decay" not in text
    assert "compare(train, ['none', 'input', 'final'], 6" in text
    assert "geometry" not in text


def test_study_continues_without_repeating_runs(own: ex.Study) -> None:
    before = own.results()
    again = ex.compare(
        train, ["none", "input", "final"], 6, data=DATA, out=own.folder, progress=False
    )
    assert again.results().equals(before)  # including the seconds of each run


def test_another_function_is_another_study(own: ex.Study) -> None:
    def other(*_: Any) -> Any:
        pytest.fail("it was called")

    functions: list[Any] = [other, partial(train, variant="none"), lambda *_: None]
    for function in functions:
        with pytest.raises(
            InputError, match="belongs to another study, with model = 'test_compare"
        ):
            ex.compare(function, ["none"], 6, data=DATA, out=own.folder, progress=False)


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

    with pytest.raises(RunError, match=r"ZeroDivisionError: no batches \(.*test_compare.py, line"):
        ex.compare(broken, ["none"], 1, out=tmp_path / "study", progress=False)


def test_unknown_variant_of_a_function_raises_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="unknown variant 'finel': did you mean 'final'"):
        ex.compare(train, ["finel"], 1, data=DATA, out=tmp_path / "study", progress=False)


def test_tensors_and_a_factory_make_a_study(tmp_path: Path) -> None:
    x = torch.randn(240, 5, generator=torch.Generator().manual_seed(0))
    y = (x.sum(1) > 0).long()

    def factory(num_classes: int, in_features: int) -> nn.Module:
        return nn.Sequential(nn.Linear(in_features, 8), nn.ReLU(), nn.Linear(8, num_classes))

    settings: dict[str, Any] = {"out": tmp_path / "study", "progress": False, "workers": 1}
    settings |= {"variants": ["none", "input"], "seeds": 2, "model": factory, "recipe": RECIPE}
    study = ex.compare(data={"train": (x, y)}, **settings)
    assert len(study.results()) == 4
    ex.compare(data={"train": (x, y)}, **settings)
    with pytest.raises(InputError, match="has other data: use another out"):
        ex.compare(data={"train": (x + 1, y)}, **settings)


def test_settings_of_the_built_in_training_raise_with_a_function(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="belong to the built-in training"):
        ex.compare(train, model="mlp", out=tmp_path / "study")


def test_progress_is_shown_without_being_asked(tmp_path: Path, capsys) -> None:
    ex.compare(train, ["none"], 1, data=DATA, out=tmp_path / "study")
    text = capsys.readouterr().out
    assert "1/1  none seed 0: validation accuracy" in text
    assert "Report:" in text


def test_misspelled_variant_is_forgotten(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"data": DATA, "out": tmp_path / "study", "progress": False}
    with pytest.raises(RunError):
        ex.compare(train, ["none", "finel"], 1, **settings)
    study = ex.compare(train, ["none", "final"], 1, **settings)
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
        ex.compare(train, **{"data": DATA, "out": tmp_path / "study", "progress": False} | changed)


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


def test_data_that_change_are_loaded_again_and_refused(tmp_path: Path) -> None:
    path, rows = tmp_path / "c.csv", [f"{k % 7},{k % 2}" for k in range(200)]
    path.write_text("\n".join(["x,label", *rows]))
    settings: dict[str, Any] = {"data": str(path), "recipe": RECIPE, "progress": False}
    ex.compare(variants=["none"], seeds=1, out=tmp_path / "a", workers=1, **settings)
    path.write_text("\n".join(["x,label", *reversed(rows)]))
    with pytest.raises(RunError, match="other train data than the runs of the same seed"):
        ex.compare(variants=["none", "final"], seeds=1, out=tmp_path / "a", workers=1, **settings)

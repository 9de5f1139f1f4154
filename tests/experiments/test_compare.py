"""Tests of `compare`: built-in training, training of one's own, and the study that it returns."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from layermix import experiments as ex
from layermix.cli import run_cli
from layermix.errors import InputError, RunError
from layermix.lab.data import Dataset
from own_training import train_by_hand

RECIPE = ex.Recipe(epochs=2, batch_size=20, monitor=1, geometry=False)
DATA = ex.DataConfig(train_size=100)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> ex.Study:
    out = tmp_path_factory.mktemp("own") / "study"
    return ex.compare(
        train_by_hand, ["none", "input", "final"], 6, data=DATA, out=out, progress=False
    )


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
        logits = train_by_hand(cell.variant, cell.seed, data.data, data)["test"]
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
    assert "compare(train_by_hand, ['none', 'input', 'final'], 6" in text
    assert "geometry" not in text


def test_study_continues_without_repeating_runs(own: ex.Study) -> None:
    before = own.results()
    again = ex.compare(
        train_by_hand, ["none", "input", "final"], 6, data=DATA, out=own.folder, progress=False
    )
    assert again.results().equals(before)  # including the seconds of each run


def test_another_function_is_another_study(own: ex.Study) -> None:
    def other(*_: Any) -> Any:
        pytest.fail("it was called")

    functions: list[Any] = [other, partial(train_by_hand, variant="none"), lambda *_: None]
    for function in functions:
        with pytest.raises(InputError, match="belongs to another study, with model = 'own_tr"):
            ex.compare(function, ["none"], 6, data=DATA, out=own.folder, progress=False)


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
        ex.compare(train_by_hand, model="mlp", out=tmp_path / "study")


def test_progress_is_shown_without_being_asked(tmp_path: Path, capsys) -> None:
    ex.compare(train_by_hand, ["none"], 1, data=DATA, out=tmp_path / "study")
    text = capsys.readouterr().out
    assert "1/1  none seed 0: validation accuracy" in text
    assert "Report:" in text


def test_data_that_change_are_loaded_again_and_refused(tmp_path: Path) -> None:
    path, rows = tmp_path / "c.csv", [f"{k % 7},{k % 2}" for k in range(200)]
    path.write_text("\n".join(["x,label", *rows]))
    settings: dict[str, Any] = {"data": str(path), "recipe": RECIPE, "progress": False}
    ex.compare(variants=["none"], seeds=1, out=tmp_path / "a", workers=1, **settings)
    path.write_text("\n".join(["x,label", *reversed(rows)]))
    with pytest.raises(RunError, match="other train data than the runs of the same seed"):
        ex.compare(variants=["none", "final"], seeds=1, out=tmp_path / "a", workers=1, **settings)

"""Tests of factors: a study for each level of epochs, training size and label noise."""

from pathlib import Path

import pytest
import torch

from html_page import Page
from layermix.cli import run_cli
from layermix.errors import InputError
from layermix.lab import DataConfig, Recipe, StudyFolder
from layermix.lab.data import load
from layermix.lab.factors import (
    at_level,
    level_name,
    levels,
    open_factors,
    require_untuned,
    write_factors,
)

RUN = "compare --model mlp --variants none input final --batch-size 20 --monitor 1 --no-geometry"


def test_levels_are_all_combinations_of_factors_with_several_values() -> None:
    found = levels((1, 2), (50,), (0.0, 0.2))
    assert [level_name(level) for level in found] == [
        *("epochs=1,label-noise=0.0", "epochs=1,label-noise=0.2"),
        *("epochs=2,label-noise=0.0", "epochs=2,label-noise=0.2"),
    ]
    assert levels((20,), (), (0.0,)) == []


def test_equal_values_raise() -> None:
    with pytest.raises(InputError, match="epochs has equal values"):
        levels((20, 20))


def test_level_sets_data_and_recipe() -> None:
    level = {"epochs": 3, "train_size": 50, "label_noise": 0.2}
    data, recipe = at_level(DataConfig(), Recipe(), level)
    assert (data.train_size, data.label_noise, recipe.epochs) == (50, 0.2, 3)


def test_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not empty"):
        write_factors(tmp_path, [{"epochs": 1}], {})


def test_folder_keeps_its_factors_and_settings(tmp_path: Path) -> None:
    settings = {"data": DataConfig(), "model": "mlp", "recipe": Recipe()}
    write_factors(tmp_path, [{"epochs": 20}, {"epochs": 60}], settings)
    write_factors(tmp_path, [{"epochs": 10}, {"epochs": 20}], settings)
    for level, changed in (
        ({"epochs": 5}, {"model": "resnet18"}),
        ({"epochs": 5}, {"recipe": Recipe(lr=0.01)}),
        ({"train_size": 50}, {}),
    ):
        with pytest.raises(InputError, match="has studies over epochs with other settings"):
            write_factors(tmp_path, [level], settings | changed)


def test_folder_of_factors_is_not_opened_as_one_study(tmp_path: Path) -> None:
    for name in ("epochs=1", "epochs=2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.json").write_text("{}")
    with pytest.raises(InputError, match="a study for each level of a factor: name epochs=1, ep"):
        StudyFolder.open(tmp_path)


def test_factor_cannot_be_tuned_too() -> None:
    with pytest.raises(InputError, match="epochs has several values and is tuned too"):
        require_untuned(["lr=0.1,0.2", "epochs=1,2"], {"epochs": 1})


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_label_noise_replaces_a_share_of_the_training_labels_by_other_classes(share) -> None:
    clean, noisy = load(DataConfig()), load(DataConfig(label_noise=share))
    assert torch.equal(clean.train.inputs, noisy.train.inputs)
    assert int((clean.train.labels != noisy.train.labels).sum()) == round(share * 300)
    assert torch.equal(clean.val.labels, noisy.val.labels)
    assert torch.equal(clean.test.labels, noisy.test.labels)
    again = load(DataConfig(label_noise=share))
    assert torch.equal(noisy.train.labels, again.train.labels)
    other = load(DataConfig(label_noise=share), 1)
    assert not torch.equal(noisy.train.labels, other.train.labels)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_invalid_label_noise_raises(share: float) -> None:
    with pytest.raises(InputError, match=f"label_noise is {share}"):
        load(DataConfig(label_noise=share))


def test_command_with_two_budgets_writes_a_report_of_each_and_over_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "study"
    words = f"{RUN} --train-size 60 --seeds 1 --epochs 1 2 --workers 1 --out {out}"
    run_cli(words.split())
    assert "Final minus input at each level" in capsys.readouterr().out
    found = open_factors(out)
    assert found is not None
    assert [study.config.recipe.epochs for _, study in found] == [1, 2]
    page = Page((out / "report.html").read_text())
    for name in ("epochs=1", "epochs=2"):
        assert (out / name / "report.html").exists()
        assert ("a", {"href": f"{name}/report.html"}) in page.tags
    assert sorted(path.stem for path in (out / "figures").iterdir()) == [
        *("factor-accuracy", "factor-gains"),
    ]
    run_cli(["report", str(out)])
    assert "report.html" in capsys.readouterr().out

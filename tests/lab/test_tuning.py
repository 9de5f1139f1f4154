"""Tests of tuning: the same number of tries for all variants, chosen by validation."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from layermix.errors import InputError
from layermix.lab import DataConfig, Execution, Recipe, StudyFolder, configure, train_study
from layermix.lab.tuning import SEEDS, parse_grid, read_tries, tries, tune
from layermix.reporting import summarize
from layermix.reporting.tables import all_tables

DATA = DataConfig(train_size=60)
RECIPE = Recipe(epochs=1, batch_size=20, monitor=0, geometry=False)


def planned(*variants: str, seeds: int = 1):
    return configure(DATA, "mlp", RECIPE, variants, seeds=seeds)


def test_grid_has_numbers_by_name() -> None:
    grid = parse_grid(["alpha=0.2,1,2", "weight-decay=1e-3,2e-3", "epochs=1,2"])
    assert grid == {"alpha": [0.2, 1, 2], "weight_decay": [1e-3, 2e-3], "epochs": [1, 2]}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("alhpa=1,2", "unknown setting to tune 'alhpa': did you mean 'alpha'"),
        ("decay=linear", "unknown setting to tune 'decay'"),
        ("lr=high,low", "its values must be numbers"),
        ("lr", "its values must be numbers"),
    ],
)
def test_invalid_grid_raises(word: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_grid([word])


def test_every_variant_has_the_same_number_of_tries() -> None:
    grid = {"alpha": [0.2, 1.0, 2.0], "weight_decay": [1e-3, 2e-3]}
    found = tries(planned("none", "input", "final", "cutmix:ratio=0.5"), grid)
    assert {len(each) for each in found.values()} == {2}
    assert found["none"] == [{"weight_decay": 1e-3}, {"weight_decay": 2e-3}]
    assert found["cutmix:ratio=0.5"] == found["none"]  # its ratio is fixed
    assert all(set(each) == {"alpha", "weight_decay"} for each in found["final"])


def test_variant_with_nothing_to_tune_raises() -> None:
    with pytest.raises(InputError, match="'none' has nothing to tune in \\['alpha'\\]"):
        tries(planned("none", "input"), {"alpha": [1.0, 2.0]})


def test_tuned_study_uses_the_best_try_of_each_variant(tmp_path: Path) -> None:
    words = ["alpha=0.2,4", "lr=0.1,1e-7"]
    console = Console(file=io.StringIO(), width=200)
    config = tune(planned("none", "final"), words, tmp_path, Execution(workers=1), console=console)
    printed = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "Those of final are drawn at random from 4 combinations." in printed
    assert "Chosen by validation: none lr 0.1; final" in printed
    assert config.tune == tuple(words)
    assert config.tuned["none"] == {"lr": 0.1}  # 1e-7 learns nothing
    found = read_tries(tmp_path)
    assert [sum(each.variant == name for each in found) for name in ("none", "final")] == [2, 2]
    for variant in ("none", "final"):
        own = [each for each in found if each.variant == variant]
        best = max(own, key=lambda each: (each.accuracy, -each.nll))
        assert [each for each in own if each.chosen] == [best]
        assert config.tuned[variant] == best.settings
    study = train_study(config, tmp_path, Execution(workers=1))
    assert {cell.seed for cell in study.cells()}.isdisjoint(SEEDS)
    assert {cell.variant: cell.recipe.lr for cell in study.cells()}["none"] == 0.1
    opened = StudyFolder.open(tmp_path)
    assert opened.config.tuned == config.tuned
    table = all_tables(summarize(opened)).tuning
    assert table is not None
    assert table.caption.endswith("those of final were drawn at random from more combinations")
    assert [row.cells[-1].text for row in table.rows].count("chosen") == 2
    assert "--tune alpha=0.2,4 lr=0.1,1e-7" in summarize(opened).command

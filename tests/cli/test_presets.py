"""Tests of presets: subcommands of compare and train with values that flags override."""

from dataclasses import replace
from typing import Any

import pytest

from layermix.cli import run_cli
from layermix.lab import DataConfig, RunConfig
from layermix.lab.training import PRESETS
from planned_studies import Stop, planned

PLAIN, SPEED = PRESETS["plain"], PRESETS["speed"]


@pytest.mark.parametrize("words", ["compare", "compare plain", "compare --data digits --seeds 10"])
def test_default_preset_is_plain(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = (DataConfig(), PLAIN.model, PLAIN.recipe, (), 10, 1)
    assert planned(words, monkeypatch) == expected


def test_flags_before_or_after_a_preset_override_it(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(SPEED.recipe, epochs=3, lookahead=False)
    expected = (DataConfig(train_size=60), "mlp", recipe, ("none", "final"), 2, 1)
    for words in (
        "compare speed --train-size 60 --variants none final --seeds 2 --model mlp --epochs 3",
        "compare --train-size 60 --seeds 2 --variants none final speed --model mlp --epochs 3",
    ):
        assert planned(f"{words} --no-lookahead", monkeypatch) == expected


def test_preset_after_flags_that_it_sets_exits_with_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_cli(["compare", "--lr", "0.3", "speed"])
    assert stop.value.code == 2
    assert "Move 'speed' earlier" in capsys.readouterr().err


def test_train_accepts_the_presets_of_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[RunConfig] = []

    def stop(config: RunConfig, *_: Any, **__: Any) -> None:
        found.append(config)
        raise Stop

    monkeypatch.setattr("layermix.cli.train.run", stop)
    with pytest.raises(Stop):
        run_cli(["train", "speed", "--epochs", "3", "--variant", "none", "--seed", "4", "--debug"])
    recipe = replace(SPEED.recipe, epochs=3)
    assert found == [RunConfig(DataConfig(), SPEED.model, recipe, "none", 4)]

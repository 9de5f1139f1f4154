"""Presets on the command line: subcommands of compare and train, whose values flags change."""

import shlex
from dataclasses import replace
from typing import Any

import pytest

from layermix.cli.main import main
from layermix.experiments import DataConfig, RunConfig, StudyConfig
from layermix.experiments.training import PRESETS
from layermix.experiments.training.recipe import PLAIN, SPEED
from layermix.reporting.configuration import compare_command


class Stop(Exception):
    """Ends a command where it would begin to work."""


def planned(words: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """Return data, model, recipe, variants, seeds and threads of a `layermix compare` command."""
    found: list[Any] = []

    def stop(*settings: Any, seeds: int, threads: int) -> None:
        found.extend([*settings, seeds, threads])
        raise Stop

    monkeypatch.setattr("layermix.cli.compare.ex.plan", stop)
    with pytest.raises(Stop):
        main([*shlex.split(words), "--debug"])
    return tuple(found)


@pytest.mark.parametrize("words", ["compare", "compare plain", "compare --data digits --seeds 8"])
def test_without_a_preset_it_is_the_plain_one(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = (DataConfig(), PLAIN.model, PLAIN.recipe, (), 8, 1)
    assert planned(words, monkeypatch) == expected


def test_flags_change_a_preset_and_may_stand_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(SPEED.recipe, epochs=3, lookahead=False)
    expected = (DataConfig(train_size=60), "mlp", recipe, ("none", "final"), 2, 1)
    for words in (
        "compare speed --train-size 60 --variants none final --seeds 2 --model mlp --epochs 3",
        "compare --train-size 60 --seeds 2 --variants none final speed --model mlp --epochs 3",
    ):
        assert planned(f"{words} --no-lookahead", monkeypatch) == expected


def test_a_preset_after_flags_that_it_sets_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["compare", "--epochs", "3", "speed"])
    assert stop.value.code == 2
    assert "Move 'speed' earlier" in capsys.readouterr().err


def test_train_has_the_same_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[RunConfig] = []

    def stop(config: RunConfig, *_: Any, **__: Any) -> None:
        found.append(config)
        raise Stop

    monkeypatch.setattr("layermix.cli.train.run", stop)
    with pytest.raises(Stop):
        main(["train", "speed", "--epochs", "3", "--variant", "none", "--seed", "4", "--debug"])
    recipe = replace(SPEED.recipe, epochs=3)
    assert found == [RunConfig(DataConfig(), SPEED.model, recipe, "none", 4)]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("variants", [("none", "final"), ("none", "speed"), ("plain",)])
def test_the_command_of_a_report_gives_the_same_study(
    preset: str, variants: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, recipe = PRESETS[preset].model, replace(PRESETS[preset].recipe, crop=1, amp=False)
    data = DataConfig("a folder/x", train_size=50)
    command = compare_command(StudyConfig(data, model, recipe, variants, (0, 1, 2), 2))
    assert ("speed" in command.split("--")[0]) == (preset == "speed")
    words = command.removeprefix("layermix ")
    assert planned(words, monkeypatch) == (data, model, recipe, variants, 3, 2)

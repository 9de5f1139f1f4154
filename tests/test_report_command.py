"""Tests that the command in a report repeats its study."""

from dataclasses import fields, replace

import pytest

from layermix.lab import DataConfig, Recipe, StudyConfig
from layermix.lab.training import PRESETS
from layermix.reporting.configuration import compare_command
from planned_studies import planned


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("variants", [("none", "final"), ("none", "speed"), ("plain",)])
def test_command_of_a_report_gives_the_same_study(
    preset: str, variants: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, recipe = PRESETS[preset].model, replace(PRESETS[preset].recipe, crop=1, amp=False)
    data = DataConfig("a folder/x", train_size=50)
    command = compare_command(StudyConfig(data, model, recipe, variants, (0, 1, 2), 2))
    for name in ("speed", "standard"):
        assert (name in command.split("--")[0]) == (preset == name)
    words = command.removeprefix("layermix ")
    assert planned(words, monkeypatch) == (data, model, recipe, variants, 3, 2)


_OTHER = {
    "decay": "cosine",
    "norm_stats": "clean",
    "optimizer": "adamw",
    "augment": "cutout",
    "per": "sample",
    "device": "cpu",
    "snnl_at": "block1",
}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("setting", [field.name for field in fields(Recipe)])
def test_command_of_a_report_contains_every_setting(
    preset: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = getattr(PRESETS[preset].recipe, setting)
    if isinstance(usual, bool):
        values = [not usual]
    elif setting in ("crop", "flip"):
        values = [each for each in ("auto", 3 if setting == "crop" else False) if each != usual]
    else:
        values = [_OTHER.get(setting, 0.25 if isinstance(usual, float | None) else 7)]
    for value in values:
        recipe = replace(PRESETS[preset].recipe, **{setting: value})
        config = StudyConfig(DataConfig(), PRESETS[preset].model, recipe, ("none",), (0,))
        words = compare_command(config).removeprefix("layermix ")
        assert planned(words, monkeypatch)[2] == recipe

"""The command that a report shows repeats its study."""

from dataclasses import replace

import pytest

from layermix.experiments import DataConfig, StudyConfig
from layermix.experiments.training import PRESETS
from layermix.reporting.configuration import compare_command
from planned_studies import planned


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

"""Tests of the report of a study with the speed preset: command and accuracy over views."""

from dataclasses import replace
from pathlib import Path

import pytest

from layermix.lab import DataConfig, Execution, Recipe, configure, train_study
from layermix.lab.training import PRESETS
from layermix.reporting import write_report
from layermix.reporting.configuration import compare_command
from layermix.reporting.text import verdict_notes


def test_command_of_a_study_uses_the_nearest_preset() -> None:
    speed = PRESETS["speed"]
    recipe = replace(speed.recipe, epochs=3, views=False)
    config = configure(DataConfig(), speed.model, recipe, ("none", "final"), seeds=2)
    assert compare_command(config) == (
        "layermix compare speed --variants none final --seeds 2 --epochs 3 --no-views"
    )


@pytest.mark.slow
def test_report_has_a_note_with_the_accuracy_over_views(tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch_size=20, monitor=1, views=True)
    config = configure(DataConfig(train_size=60), "mlp", recipe, ("none", "final"), seeds=2)
    study = train_study(config, tmp_path / "study", Execution(workers=1))
    summary, _ = write_report(study)
    (note,) = [each for each in verdict_notes(summary) if "views" in each]
    views = [result.test_views or {} for result in study.run_results().values()]
    none, final = (sum(each["accuracy"] for each in views[k::2]) / 2 for k in (0, 1))
    assert f"none {100 * none:.2f} (95% interval " in note
    assert f", n = 2); final {100 * final:.2f} (95% interval " in note

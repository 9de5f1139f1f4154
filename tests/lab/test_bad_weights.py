"""Bad weights of stored runs, and records with markup and control characters in a report."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load, save

from bad_inputs import HTML, attempt, controls
from stored_runs import edit_run, run_folder
from wrong_records import BROKEN_TENSORS, RESULT, WEIGHTS, changed, write_file

NAN, ESCAPE = float("nan"), "\x1b[31m"


@pytest.fixture
def run(study: Path) -> Path:
    return run_folder(study, "none-seed1")


@pytest.mark.parametrize("name", [*BROKEN_TENSORS, "other shapes", "NaN", "no weights"])
@pytest.mark.parametrize("command", ["evaluate", "profile"])
def test_run_with_bad_weights_is_named(
    command: str, name: str, study: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = load((run / WEIGHTS).read_bytes())
    content = {
        "other shapes": lambda: save({key: t.flatten()[:1].clone() for key, t in weights.items()}),
        "NaN": lambda: save({key: t * NAN for key, t in weights.items()}),
        "no weights": lambda: save({}),
    }
    write_file(run, WEIGHTS, BROKEN_TENSORS[name] if name in BROKEN_TENSORS else content[name]())
    words = {
        "evaluate": ["evaluate", str(study), "--corruptions", "noise", "--workers", "1"],
        "profile": ["profile", "--run", str(run), "--quantities", "knn", "--examples", "20"],
    }[command]
    code, _, err = attempt(words, capsys)
    assert code in (1, 2)
    assert run.name in err or "none-seed1" in err


def test_report_has_no_markup_or_control_characters_of_records(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"{HTML}{ESCAPE}\0\u009b2J"
    for each_run in (study / "runs").iterdir():
        conditions = json.loads((each_run / RESULT).read_text())["conditions"]
        changes = {"classes": [f"{text}{k}" for k in range(10)], "warnings": [text]}
        edit_run(each_run, RESULT, conditions=dict.fromkeys(conditions, text), **changes)
    assert attempt(["report", str(study)], capsys).code == 0
    for page in ("report.html", "report.md"):
        shown = (study / page).read_text().replace("\\<", "&lt;")
        assert HTML not in shown
        assert controls(shown) == set()


def test_report_has_no_accuracy_that_the_logits_contradict(
    study: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(RESULT, "test", "accuracy", to=0.999)(run)
    assert attempt(["report", str(study)], capsys).code in (0, 1)
    content = json.loads((study / "results.json").read_text())
    assert "0.999" not in json.dumps(content["variants"])
    assert "by the stored logits, is 0.999" in content["damaged"]["none-seed1"]

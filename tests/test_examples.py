"""Tests of the examples: they are short, run without warnings, and print the expected result.

They run with few epochs and seeds. `-m slow` runs each in full in a separate process.
"""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples"
README = (FOLDER / "README.md").read_text(encoding="utf-8")

ACCURACY = r"test accuracy (\d+\.\d)%"
VERDICT = (
    r"mixed - unmixed [+-]\d+\.\d+ \(95% interval [+-]\d+\.\d+ to [+-]\d+\.\d+\): "
    r"(mixing helps|mixing hurts|no difference is shown)"
)
LAST_LINES = {
    "plain_loop": ACCURACY,
    "accelerate_loop": rf"resumed with the same draws: True; {ACCURACY}",
    "lightning_callback": ACCURACY,
    "hf_trainer_image": ACCURACY,
    "hf_trainer_text": ACCURACY,
    "timm_training": r"training loss \d+\.\d+, test accuracy of the averaged weights (\d+\.\d)%",
    "sklearn_estimator": r"accuracy in 5 folds: .*; mean (\d+\.\d)%",
    "regression_cmixup": VERDICT,
    "multi_label": VERDICT,
    "segmentation": VERDICT,
    "text": VERDICT,
    "spectrogram": VERDICT,
    "study_lightning": rf"final: {ACCURACY}",
    "study_hf_trainer": rf"final: {ACCURACY}",
}
# Least accuracy of a full run in percent, well below the measured value and above chance.
FLOORS = {
    "plain_loop": 85,
    "accelerate_loop": 80,
    "lightning_callback": 80,
    "hf_trainer_image": 70,
    "hf_trainer_text": 90,
    "timm_training": 70,
    "sklearn_estimator": 90,
    "study_lightning": 85,
    "study_hf_trainer": 70,
}
# Warnings raised in the libraries.
IGNORED = {
    "lightning_callback": [
        "ignore::FutureWarning",
        "ignore:The 'train_dataloader' does not have many workers",
        "ignore:The 'test_dataloader' does not have many workers",
    ],
    "study_lightning": [
        "ignore::FutureWarning",
        "ignore:The 'train_dataloader' does not have many workers",
        "ignore:The 'predict_dataloader' does not have many workers",
    ],
}


def run(name: str) -> subprocess.CompletedProcess[str]:
    """Run an example from the root of the repository, with warnings as errors."""
    filters = [word for one in ["error", *IGNORED.get(name, [])] for word in ("-W", one)]
    return subprocess.run(
        [sys.executable, *filters, f"examples/{name}.py"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


def example(name: str) -> Any:
    return pytest.param(name, marks=[pytest.mark.filterwarnings(w) for w in IGNORED.get(name, [])])


@pytest.mark.parametrize("name", [example(name) for name in LAST_LINES])
def test_example_runs(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EPOCHS", "1")
    monkeypatch.setenv("SEEDS", "2")
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(FOLDER)  # as for a script
    runpy.run_path(f"examples/{name}.py", run_name="__main__")
    assert re.fullmatch(LAST_LINES[name], capsys.readouterr().out.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", LAST_LINES)
def test_example_runs_in_full(name: str) -> None:
    found = re.fullmatch(LAST_LINES[name], last_line(run(name)))
    assert found
    if name in FLOORS:
        assert float(found[1]) >= FLOORS[name]


def test_all_examples_are_tested_and_listed() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(LAST_LINES)
    assert all(f"[{name}.py]({name}.py)" in README for name in LAST_LINES)


@pytest.mark.parametrize("name", LAST_LINES)
def test_example_is_short_and_documents_its_command(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert text.startswith('"""')
    assert f"\n    python examples/{name}.py\n" in text

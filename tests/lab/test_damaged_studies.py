"""Tests of damaged study folders: each fault is named with its remedy, and no bad run is used."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layermix.cli import run_cli
from layermix.lab import StudyFolder
from layermix.lab.store import MANIFEST
from stored_runs import edit_run, run_folder

STUDY = "compare --train-size 60 --model mlp --epochs 1 --batch-size 20 --monitor 1 --seeds 2"
STUDY += " --variants none input --no-geometry --workers 1"


def call(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command; return its exit code and its output."""
    try:
        run_cli(words.split())
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    assert "This is a bug" not in err
    assert "Traceback" not in err
    return code, " ".join((out + err).split())


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return change


def truncated(name: str, size: int) -> Callable[[Path], object]:
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:size])


def written(name: str, text: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        (run / name).write_text(text)

    return change


def other_seed(run: Path) -> None:
    other = run_folder(run.parent.parent, "none-seed0")
    shutil.rmtree(run)
    shutil.copytree(other, run)


def wrong_accuracy(run: Path) -> None:
    content = json.loads((run / "result.json").read_text())
    content["test"]["accuracy"] = 7.5
    (run / "result.json").write_text(json.dumps(content))


DAMAGES = {
    "an edited accuracy": (wrong_accuracy, "result.json"),
    "an edited digit": (replaced("result.json", '"accuracy": 0.', '"accuracy": 1.'), "result.json"),
    "another seed": (other_seed, "it is the folder of 'none-seed0-"),
    "truncated weights": (truncated("weights.safetensors", 100), "weights.safetensors has 100"),
    "truncated result": (truncated("result.json", 50), "result.json has 50 bytes"),
    "empty result": (truncated("result.json", 0), "result.json has 0 bytes"),
    "no result": (lambda run: (run / "result.json").unlink(), "result.json cannot be read"),
    "no logits": (lambda run: (run / "logits.safetensors").unlink(), "logits.safetensors cannot"),
    "a missing line": (truncated("epochs.jsonl", 40), "epochs.jsonl has 40 bytes"),
    "a list": (written("result.json", "[]"), "result.json has 2 bytes"),
    "a manifest of a list": (written(MANIFEST, "[]"), "manifest.json is no mapping"),
    "an empty manifest": (written(MANIFEST, "{}"), "manifest.json has no valid 'format'"),
    "no manifest": (lambda run: (run / MANIFEST).unlink(), "manifest.json cannot be read"),
    "a deep manifest": (written(MANIFEST, "[" * 100_000), "manifest.json cannot be read"),
    "another format": (replaced(MANIFEST, '"format": 2', '"format": 3'), "it has format 3"),
    "a file outside": (
        replaced(MANIFEST, '"log.txt"', '"../../x"'),
        "manifest.json was changed after the run",
    ),
    "an edited manifest": (
        replaced(MANIFEST, '"seed": 1', '"seed": 2'),
        "manifest.json was changed after the run",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_run_is_left_out_and_trained_again(
    damage: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, reason = DAMAGES[damage]
    before = StudyFolder.open(study).run_results()
    change(run_folder(study, "none-seed1"))
    code, text = call(f"report {study}", capsys)
    assert code == 0
    assert f"The run none-seed1 is damaged and left out: {reason}" in text
    code, text = call(f"{STUDY} --out {study}", capsys)
    assert code == 0
    assert f"the run none-seed1 is damaged: {reason}" in text
    after = StudyFolder.open(study).run_results()
    assert {cell: result.test for cell, result in after.items()} == {
        cell: result.test for cell, result in before.items()
    }
    (aside,) = (study / "runs").glob("*-corrupt")
    assert reason.split()[0] in (aside / "reason.txt").read_text()


def test_flipped_bits_are_found(study: Path) -> None:
    rng, run = random.Random(0), run_folder(study, "none-seed1")
    files = sorted(path for path in run.iterdir())
    sizes = [path.stat().st_size for path in files]
    for _ in range(100):
        (path,) = rng.choices(files, sizes if rng.random() < 0.5 else None)
        content = bytearray(path.read_bytes())
        position = rng.randrange(len(content))
        content[position] ^= 1 << rng.randrange(8)
        before = path.read_bytes()
        path.write_bytes(content)
        found = StudyFolder.open(study)
        messages = found.set_aside_damaged(found.cells())
        assert len(messages) == 1, (path.name, position)
        (aside,) = (study / "runs").glob("*-corrupt")
        (aside / "reason.txt").unlink()
        aside.rename(run)
        path.write_bytes(before)


CONFIGS: dict[str, Any] = {
    "no mapping": [],
    "empty": {},
    "no config": {"format": 2},
    "an empty config": {"format": 2, "config": {}},
    "a config of a list": {"format": 2, "config": []},
    "another format": {"format": 7, "config": {}},
}
FIELDS: dict[str, Any] = {
    "variants": [["none", 3], "none", [], None],
    "seeds": [["x"], [-1], [], 3, [0.5]],
    "data": [[], {"data": 3}, {"train_size": "many"}, {"unknown": 1}],
    "recipe": [[], {"epochs": "x"}, {"per": "year"}, {"alpha": [1]}],
    "threads": ["x", None, [1]],
    "margin": ["x", None],
    "model": [3, None],
    "tuned": [[], {"none": 3}],
}


@pytest.mark.parametrize("name", CONFIGS)
def test_damaged_configuration_is_named(
    name: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "study.json").write_text(json.dumps(CONFIGS[name]))
    for words in (f"report {study}", f"{STUDY} --out {study}", f"runs {study}", f"work {study}"):
        code, text = call(words, capsys)
        assert code == 1
        assert "study.json" in text


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in FIELDS.items() for v in vs])
def test_wrong_setting_of_the_configuration_is_named(
    name: str, value: Any, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((study / "study.json").read_text())
    content["config"][name] = value
    (study / "study.json").write_text(json.dumps(content))
    for words in (f"report {study}", f"{STUDY} --out {study}"):
        code, text = call(words, capsys)
        assert code in (1, 2)
        assert "study.json" in text or name in text


def test_variant_with_a_path_stays_in_the_study(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((study / "study.json").read_text())
    content["config"]["variants"] = ["none", "../../../x"]
    (study / "study.json").write_text(json.dumps(content))
    before = sorted(tmp_path.rglob("*"))
    code, _ = call(f"work {study} --workers 1", capsys)
    assert code == 1
    outside = set(tmp_path.rglob("*")) - set(before) - set(study.rglob("*"))
    assert outside == set()


@pytest.mark.parametrize("content", ["[]", "{}", "3", '{"levels": [3]}', "", "\xff", "[{}]"])
@pytest.mark.parametrize("name", ["tuning.json", "factors.json"])
def test_other_damaged_records_are_named(
    name: str, content: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / name).write_text(content, encoding="latin-1")
    code, text = call(f"report {study}", capsys)
    assert (code == 1 and name in text) or (content == "[]" and name == "tuning.json")


def test_run_of_a_version_without_a_setting_is_read(study: Path) -> None:
    run = run_folder(study, "none-seed0")
    config = json.loads((run / "config.json").read_text())
    for part, name in (("recipe", "shard"), ("recipe", "geometry"), ("data", "drop_columns")):
        del config[part][name]
    edit_run(run, "config.json", **config)
    damaged = StudyFolder.open(study).damaged()
    assert list(damaged.values()) == ["it has recipe.geometry = True instead of False"]
    config["recipe"]["geometry"] = False
    edit_run(run, "config.json", **config)
    assert not StudyFolder.open(study).damaged()


def test_report_of_damaged_runs_alone_names_the_damage(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in (study / "runs").iterdir():
        edit_run(run, "result.json", classes=["one"])
    code, text = call(f"report {study}", capsys)
    assert code == 2
    assert "is undamaged (none-seed0: the number of classes is 10)" in text

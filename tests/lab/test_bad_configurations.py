"""Bad configurations: files of a study and settings in Python are refused by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bad_inputs import HTML, attempt, files_below, refused
from layermix.errors import InputError, LayermixError
from layermix.lab import DataConfig, Recipe, StudyConfig, StudyFolder, configure

NAN, INFINITE, HUGE, ESCAPE = float("nan"), float("inf"), 10**30, "\x1b[31m"
RECIPE = Recipe(epochs=1, batch_size=20, monitor=0, geometry=False, crop=0, flip=False)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a study without runs."""
    folder = tmp_path / "outer/study"
    config = StudyConfig(DataConfig(train_size=60), "mlp", RECIPE, ("none", "input"), (0,))
    StudyFolder(config, folder)
    monkeypatch.setenv("LAYERMIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return folder


FILES: dict[str, bytes] = {
    "empty": b"",
    "half": b'{"format": 2, "con',
    "null": b"null",
    "number": b"3",
    "text": b'"study"',
    "NaN": b"NaN",
    "invalid UTF-8": b'{"format": 2, "config": "\xff"}',
    "UTF-16": '{"format": 2}'.encode("utf-16"),
    "NUL": b"\0" * 100,
    "two values": b"{} {}",
    "deep lists": b"[" * 100_000,
    "deep mappings": b'{"config":' * 100_000,
    "deep value": b'{"format": 2, "config": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "5,000 digits": b'{"format": 2, "config": ' + b"9" * 5000 + b"}",
    "10 MB": b'{"format": 2, "config": "' + b"x" * 10_000_000 + b'"}',
    "10 MB name": b'{"format": 2, "config": {"' + b"x" * 10_000_000 + b'": 1}}',
    "markup as a name": b'{"format": 2, "config": {"%s": 1}}' % HTML.encode(),
    "escape as a name": b'{"format": 2, "config": {"\\u001b[31m": 1}}',
    "format of text": b'{"format": "2", "config": {}}',
    "format of null": b'{"format": null, "config": {}}',
    "format with escape": b'{"format": "\\u001b[31m", "config": {}}',
    "format -1": b'{"format": -1, "config": {}}',
    "huge format": b'{"format": 1000000000000000000000000000000, "config": {}}',
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", ["runs", "report", "meta"])
def test_file_without_a_configuration_is_named(
    command: str, name: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "study.json").write_bytes(FILES[name])
    out = ["--out", str(study.parent / "out")] if command == "meta" else []
    code, _, err = attempt([command, str(study), *out], capsys)
    assert code == 1
    assert "study.json" in err


TYPES: dict[tuple[str, ...], list[Any]] = {
    ("data", "data"): [3, None, ["digits"]],
    ("data", "train_size"): [0.5, NAN, {}],
    ("data", "fixed_split"): ["maybe", None],
    ("data", "drop_columns"): ["a", [3], None],
    ("data", "modality"): ["smell", 3],
    ("recipe", "epochs"): [None, 1.5, NAN, [1], {}],
    ("recipe", "lr"): ["x", [0.1]],
    ("recipe", "optimizer"): ["adam", None],
    ("recipe", "crop"): ["x", 1.5],
    ("recipe", "device"): [None, 3],
    ("model",): [[], {}],
    ("variants",): [[None], {}, 3, [["none"]]],
    ("seeds",): [[None], {}, [[0]], [NAN]],
    ("threads",): [1.5, {}],
    ("looks",): [["x"], 3, [1.5]],
    ("tune",): [[3], "x"],
    ("tuned",): [3, {"none": []}],
    ("train",): [3, None],
    ("all_points",): [3],
    (ESCAPE,): [3],
    ("__class__",): [3],
}
WRONG_TYPES = [(keys, value) for keys, values in TYPES.items() for value in values]
VALUES: dict[tuple[str, ...], list[Any]] = {
    ("data", "data"): ["../../nowhere", "/dev/zero", ESCAPE, HTML, "x" * 300, ""],
    ("data", "train_size"): [-1, HUGE],
    ("data", "image_size"): [-1, HUGE],
    ("data", "label_noise"): [NAN, 2],
    ("recipe", "epochs"): [0, -5],
    ("recipe", "batch_size"): [0, -1],
    ("recipe", "lr"): [NAN, INFINITE, -1],
    ("recipe", "weight_decay"): [NAN, -1],
    ("recipe", "alpha"): [NAN, -1],
    ("recipe", "crop"): [HUGE, -1],
    ("recipe", "device"): ["tpu", ESCAPE, ""],
    ("recipe", "monitor"): [-1],
    ("model",): ["nothing", "os:system", "../x:y", ESCAPE, HTML, "x" * 5000],
    ("variants",): [["none", "none"], [HTML], [ESCAPE], [""], ["../../x"], ["x" * 5000]],
    ("seeds",): [[0, 0], [-1], [HUGE]],
    ("threads",): [0, -1, HUGE],
    ("margin",): [NAN, -1, INFINITE],
    ("looks",): [[6, 6], [0]],
    ("tuned",): [{"none": {"epochs": "x"}}, {"none": {"unknown": 1}}, {"none": {"lr": NAN}}],
    ("train",): ["os:system", "x"],
}
WRONG_VALUES = [(keys, value) for keys, values in VALUES.items() for value in values]


def write(study: Path, keys: tuple[str, ...], value: Any) -> None:
    content = json.loads((study / "study.json").read_text())
    inner = content["config"]
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    (study / "study.json").write_text(json.dumps(content))


def name(value: Any) -> str:
    """Return the name of a case."""
    return ".".join(map(str, value)) if isinstance(value, tuple) else repr(value)[:30]


@pytest.mark.parametrize(("keys", "value"), WRONG_TYPES, ids=name)
def test_setting_of_another_type_is_named(
    keys: tuple[str, ...], value: Any, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(study, keys, value)
    code, _, err = attempt(["runs", str(study)], capsys)
    assert code == 1
    assert "study.json" in err


@pytest.mark.parametrize(("keys", "value"), WRONG_VALUES, ids=name)
def test_study_with_a_wrong_value_trains_nothing(
    keys: tuple[str, ...], value: Any, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(study, keys, value)
    before = files_below(study.parent)
    code, _, err = attempt(["work", str(study), "--workers", "1"], capsys)
    assert code in (1, 2)
    assert keys[-1].rstrip("s") in err.replace("_", " ") or keys[-1] in err or "study.json" in err
    added = files_below(study.parent) - before
    assert {path for path in added if path.suffix in (".safetensors", ".json")} == set()


@pytest.mark.parametrize(
    "grown", [3, {}, [3], [{}], [{"variants": ["none"], "seeds": ["x"], "runs": 1}]]
)
def test_wrong_stages_of_a_study_are_named(
    grown: Any, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((study / "study.json").read_text()) | {"grown": grown}
    (study / "study.json").write_text(json.dumps(content))
    code, _, err = attempt(["runs", str(study)], capsys)
    assert (code, "grown" in err) == (1, True)


PLANS = [b"", b"[]", b"3", b"{", b"null", b'{"measure": 3}', b'{"unknown": 1}', b"[" * 100_000]
PLANS += [b'{"measure": "snnl", "size": "x"}', b'{"size": NaN}', b"\xff"]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: repr(plan[:30]))
def test_damaged_plan_is_named(
    plan: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "meta-plan.json").write_bytes(plan)
    code, _, err = attempt(["meta", "--out", str(tmp_path)], capsys)
    assert code in (1, 2)
    assert "meta-plan.json" in err


SETTINGS: dict[str, list[Any]] = {
    "epochs": [0, -1, 1.5, "x", NAN, np.int64(2)],
    "batch_size": [1, 2.5, "x", None],
    "optimizer": ["adam", 3],
    "lr": [0, NAN, INFINITE, "x", np.float32(0.1)],
    "warmup": [1, -0.1, NAN, "x"],
    "decay": ["exponential"],
    "momentum": [1, NAN],
    "weight_decay": [-1, NAN, INFINITE],
    "bias_lr": [0, NAN],
    "label_smoothing": [1, NAN],
    "crop": [-1, 1.5, "x"],
    "augment": ["x"],
    "alpha": [0, NAN, INFINITE, "x"],
    "per": ["year", 3],
    "norm_stats": ["x"],
    "snnl_weight": [NAN, INFINITE, "x"],
    "monitor": [-1, 1.5, "x"],
    "device": [3, "tpu"],
}
DATA: dict[str, list[Any]] = {
    "data": [3, None, ["digits"]],
    "train_size": [0, -1, 301, 1.5, "x", NAN],
    "image_size": [0, 1.5, "x", NAN],
    "label_noise": [1, NAN, "x"],
    "max_length": [0, "x"],
    "seconds": [0, NAN, INFINITE, "x"],
    "mels": [1, NAN, "x"],
    "modality": ["smell"],
}
STUDIES: dict[str, list[Any]] = {
    "seeds": [0, -1, 1.5, "x", None],
    "threads": [0, 1.5, "x"],
    "margin": [0, NAN, INFINITE, "x"],
    "looks": [(6,), (8, 6), (6.5, 8.5), ("x", "y")],
}


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        (kind, setting, value)
        for kind, settings in (("recipe", SETTINGS), ("data", DATA), ("study", STUDIES))
        for setting, values in settings.items()
        for value in values
    ],
    ids=name,
)
def test_bad_setting_in_python_is_named(kind: str, setting: str, value: Any) -> None:
    given: dict[str, dict[str, Any]] = {"recipe": {}, "data": {"train_size": 60}, "study": {}}
    given[kind][setting] = value

    def build() -> None:
        data, recipe = DataConfig(**given["data"]), Recipe(**given["recipe"])
        configure(data, "mlp", recipe, ("none",), **{"seeds": 1, **given["study"]})

    refused(build, setting if setting != "train_size" else "", InputError)
    assert issubclass(InputError, LayermixError)

"""Stored runs whose records have wrong values and valid hashes: each is found and named."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bad_inputs import HTML, attempt, files_below
from stored_runs import run_folder
from wrong_records import (
    BROKEN_TENSORS,
    CONFIG,
    LOGITS,
    RESULT,
    Change,
    changed,
    each,
    recorded,
    stored,
    without,
    write_file,
)

NAN, INFINITE, ESCAPE = float("nan"), float("inf"), "\x1b[31m"


@pytest.fixture
def run(study: Path) -> Path:
    return run_folder(study, "none-seed1")


RESULTS: dict[str, Change] = {
    f"{' '.join(keys)} = {str(to)[:20]}": changed(RESULT, *keys, to=to)
    for keys, values in {
        ("test", "accuracy"): [7.5, -1, NAN, INFINITE, "x", [0.5], None, {}, 0.999],
        ("val", "accuracy"): [7.5, NAN, "x", None],
        ("test", "nll"): [-3, NAN, "x"],
        ("test", "brier"): [9, NAN],
        ("test", "ece"): [9],
        ("test",): [{}, [], None, 3],
        ("clean",): [3, {}, {"test": {}}],
        ("sizes",): [{}, [], None],
        ("sizes", "test"): [-5, "x"],
        ("sizes", "classes"): [2, 0],
        ("classes",): [[], ["a"], 3, [1] * 10],
        ("subset",): [3, HTML],
        ("digests",): [None, []],
        ("conditions",): [{}, {"layermix": 3}],
        ("warnings",): [None, "x", [3]],
        ("timings",): [{"seconds": "x"}, {"seconds": -1}, {"seconds": NAN}],
        ("test_views",): [3, {}],
        ("extra",): [3],
    }.items()
    for to in values
}
RESULTS |= {f"no {' '.join(k)}": without(*k) for k in [("test",), ("sizes",), ("test", "nll")]}
RECORDS: dict[str, Change] = {
    "no epoch": recorded(lambda _: []),
    "first epoch only": recorded(lambda found: found[:1]),
    "last epoch twice": recorded(lambda found: found + found[-1:]),
    "reversed epochs": recorded(lambda found: found[::-1]),
    "empty records": recorded(lambda found: [{}] * len(found)),
    "lists": recorded(lambda found: [[]] * len(found)),
    "null": recorded(lambda found: [None] * len(found)),
    "epoch of text": each(epoch=HTML),
    "negative epoch": each(epoch=-5),
    "huge epoch": each(epoch=10**30),
    "loss of text": each(train_loss="x"),
    "infinite loss": each(train_loss=INFINITE),
    "accuracy 7.5": each(val_accuracy=7.5),
    "snnl of a number": each(snnl=3),
    "snnl of an unknown layer": each(snnl={HTML: {"value": 1.0, "chance": 2.0}}),
    "snnl of text": each(snnl={"input": {"value": "x", "chance": 1.0}}),
    "chance of 0": each(snnl={"input": {"value": 1.0, "chance": 0.0}}),
}
CONFIGS: dict[str, Change] = {
    f"{' '.join(keys)} = {to}": changed(CONFIG, *keys, to=to)
    for keys, to in [
        (("variant",), "input"),
        (("variant",), HTML),
        (("variant",), ESCAPE),
        (("seed",), 7),
        (("seed",), "1"),
        (("seed",), True),
        (("model",), "os:system"),
        (("recipe", "epochs"), 99),
        (("recipe",), None),
        (("data", "data"), "other"),
        (("train",), "x"),
    ]
}
TENSORS: dict[str, Change] = {
    "few rows": stored("test.logits", lambda t: t[:5]),
    "no rows": stored("test.logits", lambda t: t[:0]),
    "few classes": stored("test.logits", lambda t: t[:, :3]),
    "more classes": stored("test.logits", lambda t: torch.cat([t, t], 1)),
    "flat logits": stored("test.logits", torch.flatten),
    "three dimensions": stored("test.logits", lambda t: t[:, :, None]),
    "integers": stored("test.logits", Tensor.int),
    "booleans": stored("test.logits", lambda t: t > 0),
    "NaN": stored("test.logits", lambda t: t * NAN),
    "infinite": stored("test.logits", lambda t: t * 0 + INFINITE),
    "other order": stored("test.logits", lambda t: t.flip(0)),
    "negative labels": stored("test.labels", lambda t: t * 0 - 1),
    "labels of 99": stored("test.labels", lambda t: t * 0 + 99),
    "labels of floats": stored("test.labels", Tensor.float),
    "few labels": stored("test.labels", lambda t: t[:5]),
    "labels of two dimensions": stored("test.labels", lambda t: t[:, None]),
    "other labels": stored("test.labels", lambda t: (t + 1) % 10),
}
TENSORS |= {
    f"file of {name}": lambda run, content=content: write_file(run, LOGITS, content)
    for name, content in BROKEN_TENSORS.items()
}
ALL = {"result": RESULTS, "epochs": RECORDS, "config": CONFIGS, "logits": TENSORS}


@pytest.mark.parametrize(("part", "name"), [(part, name) for part in ALL for name in ALL[part]])
def test_run_with_a_wrong_value_is_found(
    part: str, name: str, study: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_below(study.parent)
    ALL[part][name](run)
    code, out, _ = attempt(["runs", str(study), "--verify"], capsys)
    assert code == 0
    assert "Undamaged: 3 of 4 runs" in out
    assert "Warning: the run none-seed1 is damaged" in out
    aside = files_below(study.parent) - before
    assert {path.relative_to(study).parts[0] for path in aside} == {"runs"}


REPORTED = ["test accuracy = None", "null", "few rows", "conditions = {}"]
EVERY = {name: change for changes in ALL.values() for name, change in changes.items()}


@pytest.mark.parametrize("name", REPORTED)
def test_report_names_a_run_with_a_wrong_value(
    name: str, study: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    EVERY[name](run)
    code, out, err = attempt(["report", str(study)], capsys)
    assert code in (0, 1)
    assert "none-seed1" in out + err
    assert "damaged" in out + err

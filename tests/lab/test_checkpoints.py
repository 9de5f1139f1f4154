"""Tests of checkpoints: a resumed training equals an undisturbed one, to the bit."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from layermix.lab import DataConfig, Recipe, RunConfig, run
from layermix.lab.engines.execute import attempt
from layermix.lab.engines.job import Event, Job, JobSettings
from layermix.lab.store.checkpoints import SavedState, read_checkpoint, write_checkpoint

FEW = DataConfig(train_size=100)
SHORT = Recipe(epochs=5, batch_size=20, monitor=2, geometry=False)
SPEED = replace(SHORT, lookahead=True, alternate=True, flip=True, crop=1, label_smoothing=0.1)
ADAM = replace(SHORT, optimizer="adamw")


class Dropped(nn.Sequential):
    """A net with dropout, and a buffer that is not in its state."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(
            nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, num_classes)
        )
        self.register_buffer("steps", torch.zeros(()), persistent=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.steps += 1
        return super().forward(input) * (1 + 0.01 * self.steps)


CASES = {
    "none": ("none", "mlp", SHORT),
    "input": ("input", "resnet-small", SHORT),
    "several points": ("random", "mlp", SHORT),
    "auto with lookahead": ("auto", "mlp", replace(SPEED, monitor=5)),
    "cutmix with alternate flips": ("cutmix", "resnet-small", SPEED),
    "speed recipe": ("final", "speed", replace(SPEED, bias_lr=4.0, views=True, bfloat16=True)),
    "dropout and a hidden buffer": ("final", Dropped, ADAM),
    "per epoch, clean norms": ("input", "mlp", replace(SHORT, per="epoch", norm_stats="clean")),
    "policy and SNNL": ("final", "mlp", replace(ADAM, augment="cutout", snnl_weight=0.1)),
}


def events(case: str, **more: Any) -> Iterator[Event]:
    variant, model, recipe = CASES[case]
    factory = None if isinstance(model, str) else model
    name = model if isinstance(model, str) else "dropped"
    settings = JobSettings(1, factory=factory, checkpoint_every=1e-9)
    job = Job("run", RunConfig(FEW, name, recipe, variant, 3), settings, keep_features=True)
    return attempt(replace(job, **more))


def without_times(name: str, content: bytes) -> Any:
    if name == "result.json":
        return json.loads(content) | {"timings": None}
    if name == "epochs.jsonl":
        return [json.loads(line) | {"seconds": None} for line in content.splitlines()]
    return content


@pytest.mark.parametrize("case", CASES)
def test_resumed_training_equals_an_undisturbed_one(case: str) -> None:
    found = list(events(case))
    states = [event.content for event in found if event.kind == "checkpoint"]
    assert [state.epoch for state in states] == [0, 1, 2, 3, 4, 5]
    whole = found[-1].content
    for state in (states[0], states[2], states[5]):
        resumed = list(events(case, checkpoint=state))
        assert resumed[0].kind == "started"
        assert resumed[0].content[1] == state.epoch + 1
        again = resumed[-1].content
        assert again.keys() == whole.keys()
        for name in whole:
            assert without_times(name, again[name]) == without_times(name, whole[name]), name


def test_elapsed_times_are_kept() -> None:
    found = list(events("none"))
    state = next(e.content for e in found if e.kind == "checkpoint" and e.content.epoch == 4)
    first = [e.content["seconds"] for e in found if e.kind == "record" and e.content["epoch"]]
    lines = list(events("none", checkpoint=state))[-1].content["epochs.jsonl"].splitlines()
    assert [json.loads(line)["seconds"] for line in lines[1:5]] == first[:4]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content[:100], "cannot be read"),
        (lambda content: b"", "cannot be read"),
        (lambda content: b"[]" * 500, "cannot be read"),
    ],
)
def test_damaged_checkpoint_starts_again(change: Any, reason: str) -> None:
    state = next(e.content for e in events("none") if e.kind == "checkpoint")
    found = list(events("none", checkpoint=SavedState(1, change(state.content))))
    assert found[0].kind == "note"
    assert reason in found[0].content
    assert found[1].content[1] == 0
    assert found[-1].kind == "finished"


def test_checkpoint_of_other_settings_starts_again() -> None:
    state = next(e.content for e in events("none") if e.kind == "checkpoint")
    note = next(iter(events("dropout and a hidden buffer", checkpoint=state)))
    assert "is that of other settings, data or versions" in note.content


def test_stopped_training_ends_with_a_checkpoint_after_its_epoch() -> None:
    job = Job("run", RunConfig(FEW, "mlp", SHORT, "none", 0), JobSettings(1))
    found = list(attempt(job, lambda: True))
    assert [event.kind for event in found] == ["started", "record", "checkpoint", "stopped"]


def test_older_slot_is_replaced_and_a_torn_one_ignored(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        write_checkpoint(tmp_path, SavedState(epoch, b"state %d" % epoch))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-0.json",
        "checkpoint-0.safetensors",
        "checkpoint-1.json",
        "checkpoint-1.safetensors",
    ]
    assert read_checkpoint(tmp_path) == (3, b"state 3")
    (tmp_path / "checkpoint-0.safetensors").write_bytes(b"stat")
    assert read_checkpoint(tmp_path) == (2, b"state 2")
    (tmp_path / "checkpoint-1.json").write_bytes(b"[]")
    assert read_checkpoint(tmp_path) is None


def test_repeated_run_continues_from_the_checkpoint(tmp_path: Path) -> None:
    config = RunConfig(FEW, "mlp", SHORT, "input", 0)
    whole, seen = run(config, tmp_path / "whole"), []

    def stop(record: dict) -> None:
        seen.append(record["epoch"])
        if record["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", stop, checkpoint_every=1e-9)
    found = run(config, tmp_path / "run", lambda record: seen.append(record["epoch"]))
    assert seen == [0, 1, 2, 3, 3, 4, 5]
    assert (found.test, found.val) == (whole.test, whole.val)
    assert not (tmp_path / "run-unfinished").exists()

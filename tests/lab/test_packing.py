"""Tests of the number of parallel runs: formula, trial, and the GPUs of processes."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from layermix import InputError
from layermix.lab import DataConfig, Execution, Recipe, configure, train_study
from layermix.lab.engines import packing
from layermix.lab.engines.job import JobSettings
from layermix.lab.engines.packing import Trial, best_count, chosen_workers
from layermix.lab.store import RunConfig

CELLS = [RunConfig(DataConfig(), "mlp", Recipe(device="cpu"), "none", seed) for seed in range(40)]


@pytest.mark.parametrize(
    ("two", "most", "expected"),
    [
        (200.0, 8, 8),  # no loss: as many as possible
        (100.0, 8, 1),  # no gain
        (60.0, 8, 1),  # a loss
        (104.0, 8, 1),  # a gain below a twentieth
        (110.0, 8, 2),  # k / (1 + (k-1) 0.82): 1.10 for two, 1.14 for three, below 1.05 times more
        (140.0, 8, 5),  # s = 3/7: 1, 1.4, 1.62, 1.75, 1.842, and 1.909 for six
        (160.0, 3, 3),
    ],
)
def test_runs_are_added_while_they_bring_a_twentieth(two: float, most: int, expected: int) -> None:
    assert best_count(100.0, two, most) == expected


@given(st.floats(1, 1e6), st.floats(0, 3), st.integers(1, 64))
def test_more_speed_of_two_never_gives_fewer_runs(one: float, gain: float, most: int) -> None:
    found = [best_count(one, one * factor, most) for factor in (gain, gain + 0.2)]
    assert 1 <= found[0] <= found[1] <= most


def faked(
    monkeypatch: pytest.MonkeyPatch, rates: dict[int, float], used: float, free: float
) -> None:
    """Let trials of 1 and 2 runs give these rates for each, in a machine of 16 cores."""
    monkeypatch.setattr(packing, "_free", lambda device: free)
    monkeypatch.setattr(packing.joblib, "cpu_count", lambda: 16)

    def trials(cell: RunConfig, settings: dict, count: int) -> list[Trial]:
        return [Trial(rates[count], used, free)] * count

    monkeypatch.setattr(packing, "_trials", trials)


@pytest.mark.parametrize(
    ("rates", "used", "threads", "expected"),
    [
        ({1: 100.0, 2: 100.0}, 1e9, 1, 16),  # one for each core
        ({1: 100.0, 2: 100.0}, 1e9, 4, 4),
        ({1: 100.0, 2: 100.0}, 3e9, 1, 6),  # 0.9 x 20 GB fit six
        ({1: 100.0, 2: 100.0}, 30e9, 1, 1),
        ({1: 100.0, 2: 50.0}, 1e9, 1, 1),
        ({1: 100.0, 2: 100.0}, 0.0, 1, 16),
    ],
)
def test_cores_memory_and_speed_limit_the_number(
    monkeypatch: pytest.MonkeyPatch,
    rates: dict[int, float],
    used: float,
    threads: int,
    expected: int,
) -> None:
    faked(monkeypatch, rates, used, 20e9)
    found = chosen_workers(CELLS, JobSettings(threads))
    assert found.workers == expected
    assert chosen_workers(CELLS[:3], JobSettings(threads)).workers == min(3, expected)


def test_memory_that_is_unknown_does_not_limit_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    faked(monkeypatch, {1: 100.0, 2: 100.0}, 0.0, math.inf)
    assert chosen_workers(CELLS, JobSettings()).workers == 16


def test_runs_are_spread_over_all_gpus_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "pick_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert [packing.spread_over(name) for name in ("cuda", "cuda:2", "cpu")] == [4, 1, 1]
    faked(monkeypatch, {1: 100.0, 2: 75.0}, 0.0, 80e9)  # s = 1/3 on each
    recipe = Recipe(device="cuda")
    cells = [RunConfig(DataConfig(), "mlp", recipe, "none", seed) for seed in range(40)]
    assert chosen_workers(cells, JobSettings()).workers == 16  # four on each of four


@pytest.mark.slow
def test_a_study_finds_its_number_of_workers_by_a_trial(tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, geometry=False, monitor=0)
    config = configure(DataConfig(train_size=60), "mlp", recipe, ("none", "input"), seeds=2)
    found = chosen_workers([*CELLS], JobSettings(1))
    assert 1 <= found.workers <= packing.joblib.cpu_count()
    assert "examples per second" in found.reason
    study = train_study(config, tmp_path / "study", Execution(workers="auto"))
    assert not study.missing()


def test_trial_that_fails_warns_and_the_runs_show_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise MemoryError("too large")

    monkeypatch.setattr(packing, "chosen_workers", fails)
    recipe = Recipe(epochs=1, geometry=False, monitor=0)
    config = configure(DataConfig(train_size=60), "mlp", recipe, ("none", "input"), seeds=1)
    with pytest.warns(UserWarning, match="one at a time: too large"):
        study = train_study(config, tmp_path / "study", Execution(workers="auto"))
    assert not study.missing()


def test_trial_needs_the_built_in_training(tmp_path: Path) -> None:
    config = configure(
        DataConfig(train_size=60), "mlp", Recipe(epochs=1), ("none", "input"), seeds=1
    )
    with pytest.raises(InputError, match="the trial needs the built-in training"):
        train_study(config, tmp_path / "study", Execution(workers="auto"), train=lambda *_: {})

"""The memory of a profile is limited by batch_size and memory."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import layermix as lm
from benchmarks.memory import peak_memory
from layermix.geometry.features import examples_that_fit, pooling_of
from subjects import images, net, wide


def test_forward_passes_are_limited_to_batch_size() -> None:
    model, sizes = net(), []
    model.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    lm.profile(model, images(), batch_size=7)
    assert max(sizes) <= 7
    assert min(sizes) >= 2


def test_large_features_are_written_to_temporary_files() -> None:
    inside = lm.profile(*wide(), gap_examples=0)
    with record_files() as files:
        torch.manual_seed(0)
        outside = lm.profile(*wide(), gap_examples=0, memory=4 * 60 * 4096)
    assert len(files) == 5
    assert not any(path.exists() for path in files)
    assert outside.quantity("nc1").keys() == inside.quantity("nc1").keys()
    assert outside.notices == ()


@contextmanager
def record_files() -> Iterator[list[Path]]:
    """Record the paths of the files that features are written to."""
    found: list[Path] = []
    memmap = np.memmap

    def recording_memmap(path: Path, *args: Any, **options: Any) -> np.ndarray:
        found.append(Path(path))
        return memmap(path, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "memmap", recording_memmap)
        yield found


def test_features_on_disk_give_equal_profiles() -> None:
    data = wide()[1]
    values = [
        lm.profile(net(16), data, gap_examples=0, memory=memory).to_json()
        for memory in (2**30, 4 * 60 * 4096)
    ]
    assert values[0] == values[1]


def test_wide_layer_reduces_examples_and_gives_a_notice() -> None:
    model, data = wide()
    found = lm.profile(model, data, gap_examples=0, memory=4 * 40 * 4096)
    assert found.n == 40
    assert "Only 40 examples fit into memory" in found.notices[0]
    layers = {"wide": pooling_of((1000,), "auto", set())}
    assert examples_that_fit(model, layers, 500, 800_000) == math.isqrt(800_000 // 128)
    assert examples_that_fit(model, layers, 50, 4 * 1000 * 100) == 50
    assert examples_that_fit(model.double(), layers, 500, 8 * 1000 * 60) == 60
    with pytest.raises(lm.InputError, match=r"only 10 examples fit .* 'wide' has 1,000 features"):
        examples_that_fit(net(), layers, 500, 4 * 1000 * 10)


def test_peak_memory_of_narrow_layers_is_limited() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    data = torch.randn(4000, 8), torch.arange(4000) % 2
    lm.profile(model, data, max_examples=100, gap_examples=0)  # warm-up: torch keeps some memory
    settings: dict[str, Any] = {"max_examples": 4000, "gap_examples": 0, "memory": 30_000_000}
    # Other allocations of the process only add memory, so the minimum of three runs is used.
    grown = min(peak_memory(lambda: lm.profile(model, data, **settings)) for _ in range(3))
    # The allocator may keep 50% more; all 4,000 examples would take 800 MB.
    assert math.isnan(grown) or grown < 60

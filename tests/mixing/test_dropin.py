"""For the same partner and ratio, images and labels equal those of timm and torchvision.

Both libraries draw from global generators. A test seeds them, draws the ratio and the box in the
order of the library, seeds them again, and calls the library.

timm flips the batch, torchvision rolls it by one. Boxes of timm may have odd sides; boxes of
torchvision and layermix are even, as in the CutMix paper. Only even boxes of timm are compared.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.data.mixup import Mixup
from timm.loss.cross_entropy import SoftTargetCrossEntropy
from torch import Tensor
from torchvision.transforms import v2

import layermix as lm
from layermix.mixing import Target

B, C, H, W = 8, 5, 16, 24
FLIPPED = torch.arange(B).flip(0)
ROLLED = torch.arange(B).roll(1)
SEEDS = range(5)
PAGE = Path(__file__).parents[2] / "docs" / "migration.md"
SMOOTHINGS = [0.0, 0.1]


@pytest.fixture
def images() -> Tensor:
    return torch.randn(B, 3, H, W, dtype=torch.float64)


@pytest.fixture
def labels() -> Tensor:
    return torch.randint(C, (B,))


def ratio_tensor(value: float) -> Tensor:
    """Return a ratio as a float64 tensor."""
    return torch.tensor(value, dtype=torch.float64)


def center(y: Tensor | float, x: Tensor | float) -> dict[str, Tensor]:
    """Return the draw of a cut around the pixel (y, x), relative to the image size."""
    y, x = torch.as_tensor(y), torch.as_tensor(x)
    return {"center": torch.stack([torch.zeros(y.shape), (y + 0.5) / H, (x + 0.5) / W], dim=-1)}


def smooth_labels(target: Target, smoothing: float) -> Tensor:
    """Return soft labels with the label smoothing of torch."""
    return target.dense(C) * (1 - smoothing) + smoothing / C


def assert_equals_timm(
    mixup: Mixup, plan: lm.Plan, seed: int, images: Tensor, labels: Tensor, smoothing: float
) -> None:
    """Compare images, soft labels and the loss of random logits."""
    ours, target = lm.mix(images, plan, labels)
    np.random.seed(seed)
    theirs, soft = mixup(images.clone(), labels)  # timm modifies its input
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    torch.testing.assert_close(smooth_labels(target, smoothing), soft, check_dtype=False)
    logits = torch.randn(B, C)
    loss = target.loss(logits, label_smoothing=smoothing)
    torch.testing.assert_close(loss, SoftTargetCrossEntropy()(logits, soft), check_dtype=False)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_mixup_equals_timm(seed: int, smoothing: float, images: Tensor, labels: Tensor) -> None:
    mixup = Mixup(mixup_alpha=0.8, label_smoothing=smoothing, num_classes=C)
    np.random.seed(seed)
    np.random.rand()  # timm compares this with its probability of mixing
    plan = lm.Plan("input", ratio_tensor(np.random.beta(0.8, 0.8)), FLIPPED)
    assert_equals_timm(mixup, plan, seed, images, labels, smoothing)


def draw_timm_cut(alpha: float, seed: int) -> tuple[float, int, int]:
    """Return the ratio and center that timm draws after `seed` for the whole batch."""
    np.random.seed(seed)
    np.random.rand()
    return np.random.beta(alpha, alpha), np.random.randint(H), np.random.randint(W)


def is_even(ratio: float) -> bool:
    """Return True if both sides of the box of timm are even."""
    return not any(int(side * math.sqrt(1 - ratio)) % 2 for side in (H, W))


EVEN = [seed for seed in range(30) if is_even(draw_timm_cut(1.0, seed)[0])]


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("seed", EVEN)
def test_cutmix_equals_timm(seed: int, smoothing: float, images: Tensor, labels: Tensor) -> None:
    mixup = Mixup(0.0, cutmix_alpha=1.0, label_smoothing=smoothing, num_classes=C)
    ratio, y, x = draw_timm_cut(1.0, seed)
    plan = lm.Plan("input", ratio_tensor(ratio), FLIPPED, "cut", center(y, x))
    assert_equals_timm(mixup, plan, seed, images, labels, smoothing)


def test_enough_even_boxes_are_compared() -> None:
    assert len(EVEN) >= 5


@pytest.mark.parametrize("seed", SEEDS)
def test_timm_elem_mode_equals_ratio_per_sample(seed: int, images: Tensor, labels: Tensor) -> None:
    mixup = Mixup(mixup_alpha=0.8, mode="elem", label_smoothing=0.1, num_classes=C)
    np.random.seed(seed)
    ratio = torch.from_numpy(np.random.beta(0.8, 0.8, size=B).astype(np.float32))
    plan = lm.Plan("input", ratio, FLIPPED)
    np.random.seed(seed)
    theirs, soft = mixup(images.clone(), labels)
    torch.testing.assert_close(lm.mix(images, plan), theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(smooth_labels(plan.target(labels), 0.1), soft, check_dtype=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_timm_pair_mode_equals_one_ratio_per_pair(
    seed: int, images: Tensor, labels: Tensor
) -> None:
    mixup = Mixup(mixup_alpha=0.8, mode="pair", label_smoothing=0.1, num_classes=C)
    np.random.seed(seed)
    half = torch.from_numpy(np.random.beta(0.8, 0.8, size=B // 2).astype(np.float32))
    plan = lm.Plan("input", torch.cat([half, half.flip(0)]), FLIPPED)
    np.random.seed(seed)
    theirs, soft = mixup(images.clone(), labels)
    torch.testing.assert_close(lm.mix(images, plan), theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(smooth_labels(plan.target(labels), 0.1), soft, check_dtype=False)


def assert_equals_torchvision(
    transform: Callable[..., tuple[Tensor, Tensor]],
    plan: lm.Plan,
    seed: int,
    images: Tensor,
    labels: Tensor,
) -> None:
    ours, target = lm.mix(images, plan, labels)
    torch.manual_seed(seed)
    theirs, soft = transform(images, labels)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    torch.testing.assert_close(target.dense(C), soft, check_dtype=False)
    logits = torch.randn(B, C)
    loss = torch.nn.functional.cross_entropy(logits, soft, label_smoothing=0.1)
    torch.testing.assert_close(target.loss(logits, label_smoothing=0.1), loss, check_dtype=False)


def draw_torchvision_ratio(transform: v2.MixUp | v2.CutMix, seed: int) -> float:
    torch.manual_seed(seed)
    return float(transform._dist.sample(torch.Size()))


@pytest.mark.parametrize("seed", SEEDS)
def test_mixup_equals_torchvision(seed: int, images: Tensor, labels: Tensor) -> None:
    transform = v2.MixUp(alpha=0.8, num_classes=C)
    plan = lm.Plan("input", ratio_tensor(draw_torchvision_ratio(transform, seed)), ROLLED)
    assert_equals_torchvision(transform, plan, seed, images, labels)


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_equals_torchvision(seed: int, images: Tensor, labels: Tensor) -> None:
    transform = v2.CutMix(alpha=1.0, num_classes=C)
    ratio = draw_torchvision_ratio(transform, seed)
    x, y = torch.randint(W, (1,)), torch.randint(H, (1,))  # x is drawn first
    plan = lm.Plan("input", ratio_tensor(ratio), ROLLED, "cut", center(y[0], x[0]))
    assert_equals_torchvision(transform, plan, seed, images, labels)


def test_one_hot_labels_equal_torchvision(images: Tensor, labels: Tensor) -> None:
    one_hot = torch.nn.functional.one_hot(labels, C).float()
    transform = v2.MixUp(alpha=0.8)
    plan = lm.Plan("input", ratio_tensor(draw_torchvision_ratio(transform, 0)), ROLLED)
    torch.manual_seed(0)
    _, soft = transform(images, one_hot)
    torch.testing.assert_close(plan.target(one_hot).dense(), soft, check_dtype=False)


def test_mixer_at_input_equals_mixed_batch(images: Tensor, labels: Tensor) -> None:
    """The output with the mixer equals the output for images that were mixed before."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * H * W, C)).double()
    mixer = lm.Mixer(model, at="input", blend="cut", alpha=1.0)
    plan = mixer.draw(B)
    with mixer.apply(plan):
        output = model(images)
    torch.testing.assert_close(output, model(lm.mix(images, plan)), rtol=0, atol=0)


def test_code_of_migration_page_runs(images: Tensor, labels: Tensor) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * H * W, C)).double()
    names = {"lm": lm, "np": np, "torch": torch, "model": model, "num_classes": C}
    exec("".join(blocks), names | {"x": images, "y": labels})
    assert len(blocks) == 4

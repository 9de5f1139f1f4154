"""Coming from timm or torchvision: for the same partner and ratio, the same images and labels.

Both draw from global generators. A test seeds these, draws once itself in the library's order to
read ratio and box, seeds again, and lets the library do its own draw.

timm flips the batch, torchvision rolls it by one. timm's boxes may have odd sides, those of the
CutMix paper (torchvision's and layermix's) are even: the boxes of timm that are compared are even.
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


def number(value: float) -> Tensor:
    """Return a ratio as a plan takes it."""
    return torch.tensor(value, dtype=torch.float64)


def center(y: Tensor | float, x: Tensor | float) -> dict[str, Tensor]:
    """Return the draw of a cut around the pixel (y, x): the middle of it, over the size."""
    y, x = torch.as_tensor(y), torch.as_tensor(x)
    return {"center": torch.stack([torch.zeros(y.shape), (y + 0.5) / H, (x + 0.5) / W], dim=-1)}


def smoothed(target: Target, smoothing: float) -> Tensor:
    """Return soft labels, smoothed as torch smooths them."""
    return target.dense(C) * (1 - smoothing) + smoothing / C


def same_as_timm(
    mixup: Mixup, plan: lm.Plan, seed: int, images: Tensor, labels: Tensor, smoothing: float
) -> None:
    """Check images, soft labels and the loss of random logits."""
    ours, target = lm.mix(images, plan, labels)
    np.random.seed(seed)
    theirs, soft = mixup(images.clone(), labels)  # it changes the tensor it is given
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    torch.testing.assert_close(smoothed(target, smoothing), soft, check_dtype=False)
    logits = torch.randn(B, C)
    loss = target.loss(logits, label_smoothing=smoothing)
    torch.testing.assert_close(loss, SoftTargetCrossEntropy()(logits, soft), check_dtype=False)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_mixup_of_timm(seed: int, smoothing: float, images: Tensor, labels: Tensor) -> None:
    mixup = Mixup(mixup_alpha=0.8, label_smoothing=smoothing, num_classes=C)
    np.random.seed(seed)
    np.random.rand()  # whether to mix
    plan = lm.Plan("input", number(np.random.beta(0.8, 0.8)), FLIPPED)
    same_as_timm(mixup, plan, seed, images, labels, smoothing)


def cut_of_timm(alpha: float, seed: int) -> tuple[float, int, int]:
    """Return ratio and center of a cut of the whole batch, as timm draws them after `seed`."""
    np.random.seed(seed)
    np.random.rand()
    return np.random.beta(alpha, alpha), np.random.randint(H), np.random.randint(W)


def is_even(ratio: float) -> bool:
    """Tell whether both sides of timm's box are even."""
    return not any(int(side * math.sqrt(1 - ratio)) % 2 for side in (H, W))


EVEN = [seed for seed in range(30) if is_even(cut_of_timm(1.0, seed)[0])]


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("seed", EVEN)
def test_cutmix_of_timm(seed: int, smoothing: float, images: Tensor, labels: Tensor) -> None:
    mixup = Mixup(0.0, cutmix_alpha=1.0, label_smoothing=smoothing, num_classes=C)
    ratio, y, x = cut_of_timm(1.0, seed)
    plan = lm.Plan("input", number(ratio), FLIPPED, "cut", center(y, x))
    same_as_timm(mixup, plan, seed, images, labels, smoothing)


def test_there_are_even_boxes_to_compare() -> None:
    assert len(EVEN) >= 5


@pytest.mark.parametrize("seed", SEEDS)
def test_timm_by_element_is_a_ratio_per_sample(seed: int, images: Tensor, labels: Tensor) -> None:
    mixup = Mixup(mixup_alpha=0.8, mode="elem", label_smoothing=0.1, num_classes=C)
    np.random.seed(seed)
    ratio = torch.from_numpy(np.random.beta(0.8, 0.8, size=B).astype(np.float32))
    plan = lm.Plan("input", ratio, FLIPPED)
    np.random.seed(seed)
    theirs, soft = mixup(images.clone(), labels)
    torch.testing.assert_close(lm.mix(images, plan), theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(smoothed(plan.target(labels), 0.1), soft, check_dtype=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_timm_by_pair_is_one_ratio_for_both(seed: int, images: Tensor, labels: Tensor) -> None:
    mixup = Mixup(mixup_alpha=0.8, mode="pair", label_smoothing=0.1, num_classes=C)
    np.random.seed(seed)
    half = torch.from_numpy(np.random.beta(0.8, 0.8, size=B // 2).astype(np.float32))
    plan = lm.Plan("input", torch.cat([half, half.flip(0)]), FLIPPED)
    np.random.seed(seed)
    theirs, soft = mixup(images.clone(), labels)
    torch.testing.assert_close(lm.mix(images, plan), theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(smoothed(plan.target(labels), 0.1), soft, check_dtype=False)


def same_as_torchvision(
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


def ratio_of_torchvision(transform: v2.MixUp | v2.CutMix, seed: int) -> float:
    torch.manual_seed(seed)
    return float(transform._dist.sample(torch.Size()))


@pytest.mark.parametrize("seed", SEEDS)
def test_mixup_of_torchvision(seed: int, images: Tensor, labels: Tensor) -> None:
    transform = v2.MixUp(alpha=0.8, num_classes=C)
    plan = lm.Plan("input", number(ratio_of_torchvision(transform, seed)), ROLLED)
    same_as_torchvision(transform, plan, seed, images, labels)


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_of_torchvision(seed: int, images: Tensor, labels: Tensor) -> None:
    transform = v2.CutMix(alpha=1.0, num_classes=C)
    ratio = ratio_of_torchvision(transform, seed)
    x, y = torch.randint(W, (1,)), torch.randint(H, (1,))  # in this order
    plan = lm.Plan("input", number(ratio), ROLLED, "cut", center(y[0], x[0]))
    same_as_torchvision(transform, plan, seed, images, labels)


def test_one_hot_labels_as_torchvision_takes_them(images: Tensor, labels: Tensor) -> None:
    one_hot = torch.nn.functional.one_hot(labels, C).float()
    transform = v2.MixUp(alpha=0.8)
    plan = lm.Plan("input", number(ratio_of_torchvision(transform, 0)), ROLLED)
    torch.manual_seed(0)
    _, soft = transform(images, one_hot)
    torch.testing.assert_close(plan.target(one_hot).dense(), soft, check_dtype=False)


def test_the_mixer_at_the_input_is_a_mixed_batch(images: Tensor, labels: Tensor) -> None:
    """A model under the mixer returns what it returns for images that were mixed before."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * H * W, C)).double()
    mixer = lm.Mixer(model, at="input", blend="cut", alpha=1.0)
    plan = mixer.draw(B)
    with mixer.apply(plan):
        output = model(images)
    torch.testing.assert_close(output, model(lm.mix(images, plan)), rtol=0, atol=0)


def test_the_code_of_the_page_runs(images: Tensor, labels: Tensor) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * H * W, C)).double()
    names = {"lm": lm, "np": np, "torch": torch, "model": model, "num_classes": C}
    exec("".join(blocks), names | {"x": images, "y": labels})
    assert len(blocks) == 4

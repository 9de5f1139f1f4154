"""Tests of corruptions of images, with references, and of the detection of other classes."""

import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from sklearn.metrics import roc_auc_score, roc_curve

from layermix.lab.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupted
from layermix.lab.evaluation.out_of_distribution import SCORES, detection


def images(count: int = 40, channels: int = 3, size: int = 16) -> torch.Tensor:
    """Return smooth random images."""
    rng = np.random.default_rng(0)
    x = ndimage.gaussian_filter(rng.random((count, channels, size, size)), (0, 0, 2, 2))
    x = (x - x.min()) / (x.max() - x.min())
    return torch.from_numpy((x * 255).astype(np.uint8))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruption_is_a_function_of_its_arguments(name: str, channels: int) -> None:
    x = images(channels=channels)
    before = x.clone()
    found = [corrupted(x, name, severity) for severity in SEVERITIES]
    assert all(each.dtype == torch.uint8 and each.shape == x.shape for each in found)
    assert x.equal(before)
    assert corrupted(x, name, 3).equal(found[2])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_higher_severities_change_images_more(name: str) -> None:
    x = images(size=32)
    changes = [float((corrupted(x, name, k).float() - x).abs().mean()) for k in SEVERITIES]
    assert changes[0] > 0
    assert changes[-1] > changes[0]
    assert all(b >= 0.9 * a for a, b in itertools.pairwise(changes))


def test_noise_has_its_standard_deviation() -> None:
    x = torch.full((50, 1, 32, 32), 128, dtype=torch.uint8)
    for severity, sigma in zip(SEVERITIES, (0.04, 0.06, 0.08, 0.09, 0.10), strict=True):
        assert float(corrupted(x, "noise", severity).float().std()) / 255 == pytest.approx(
            sigma, rel=0.02
        )


def test_blur_equals_that_of_scipy() -> None:
    x = images(size=32)
    expected = ndimage.gaussian_filter(
        x.double().numpy(), (0, 0, 0.7, 0.7), mode="nearest", radius=(0, 0, 3, 3)
    )
    assert np.abs(corrupted(x, "blur", 3).numpy() - expected).max() <= 1


@pytest.mark.parametrize(("size", "sigma"), [(8, 0.7), (64, 1.4)])
def test_blur_grows_with_images_above_32_pixels(size: int, sigma: float) -> None:
    x = torch.zeros(1, 1, size, size, dtype=torch.uint8)
    x[..., size // 2, size // 2] = 255
    found = corrupted(x, "blur", 3)[0, 0].double() / 255
    places = torch.arange(size) - size // 2
    assert float((found.sum(0) * places**2).sum()) == pytest.approx(sigma**2, rel=0.1)


def test_contrast_and_brightness_equal_their_formulas() -> None:
    x = images().double() / 255
    mean = x.mean((2, 3), keepdim=True)
    expected = {"contrast": mean + 0.4 * (x - mean), "brightness": x + 0.15}
    for name, values in expected.items():
        found = corrupted((x * 255).to(torch.uint8), name, 3).double()
        assert (found - (255 * values).clamp(0, 255)).abs().max() <= 0.51


def test_jpeg_equals_that_of_pillow() -> None:
    x = images(1)
    file = io.BytesIO()
    Image.fromarray(x[0].permute(1, 2, 0).numpy()).save(file, "JPEG", quality=58)
    assert np.array_equal(
        corrupted(x, "jpeg", 3)[0].permute(1, 2, 0).numpy(), np.asarray(Image.open(file))
    )


def test_rotation_equals_that_of_scipy_inside() -> None:
    x = images(8, 1, 33)
    found = corrupted(x, "rotation", 3)
    rotated = [
        ndimage.rotate(x.double().numpy(), sign * 15, (3, 2), reshape=False, order=1, mode="mirror")
        for sign in (-1, 1)
    ]
    for k in range(8):
        errors = [np.abs(found[k].numpy() - r[k])[:, 8:-8, 8:-8].max() for r in rotated]
        assert min(errors) < 2
        assert max(errors) > 2


def test_zoom_keeps_the_middle_and_enlarges_it() -> None:
    x = torch.zeros(1, 1, 33, 33, dtype=torch.uint8)
    x[..., 12:21, 12:21] = 255
    found = corrupted(x, "zoom", 5)[0, 0]
    assert found[16, 16] == 255
    assert float(found.float().sum()) / 255 == pytest.approx(81 * 1.5**2, rel=0.1)


def test_detection_equals_that_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    known = 2 * torch.randn(300, 5, generator=generator)
    other = torch.randn(200, 5, generator=generator)
    target = np.r_[np.ones(300), np.zeros(200)]
    for name, found in detection(known, other).items():
        scores = torch.cat([SCORES[name](known), SCORES[name](other)]).double().numpy()
        assert found["auroc"] == pytest.approx(roc_auc_score(target, scores), abs=1e-6)
        fpr, tpr, _ = roc_curve(target, scores, drop_intermediate=False)
        assert found["fpr95"] == pytest.approx(fpr[tpr >= 0.95].min(), abs=1e-6)


def test_equal_scores_cannot_be_told_apart() -> None:
    found = detection(torch.zeros(10, 3), torch.zeros(20, 3))
    assert {name: each["auroc"] for name, each in found.items()} == dict.fromkeys(SCORES, 0.5)

"""Corruptions of images at five severities, in the manner of ImageNet-C and CIFAR-10-C.

Sources: Hendrycks, Dietterich (2019, "Benchmarking Neural Network Robustness to Common Corruptions
and Perturbations") for noise, blur, contrast, brightness, JPEG and pixelate, with their strengths
for CIFAR-10; the geometric ones are rotation, shear and zoom. Lengths in images of more than 32
pixels are the same fractions of the image.

Shapes: N images, C channels, H height, W width. Intensities are in [0, 1].
"""

import io
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SEVERITIES = (1, 2, 3, 4, 5)
_SIDE = 32  # pixels of a side of a CIFAR-10 image
_BORDER = "reflection"

Corruption = Callable[[Tensor, float, np.random.Generator], Tensor]
"""A function of images in [0, 1], float32 (N, C, H, W), a strength and a generator."""


def gaussian_noise(x: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Add Gaussian noise of this standard deviation."""
    return x + strength * torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))


def gaussian_blur(x: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Blur by a Gaussian of this standard deviation in pixels, more in images above 32 pixels."""
    del rng
    sigma = strength * max(1.0, min(x.shape[2:]) / _SIDE)
    reach = max(1, math.ceil(3 * sigma))
    places = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = (-(places**2) / (2 * sigma**2)).exp()
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    rows = F.pad(x, (0, 0, reach, reach), mode="replicate")
    rows = F.conv2d(rows, kernel.unsqueeze(-1), groups=x.shape[1])
    columns = F.pad(rows, (reach, reach, 0, 0), mode="replicate")
    return F.conv2d(columns, kernel.unsqueeze(-2), groups=x.shape[1])


def scale_contrast(x: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Multiply the distance from each channel's mean by the strength."""
    del rng
    mean = x.mean((2, 3), keepdim=True)
    return mean + strength * (x - mean)


def add_brightness(x: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Add the strength to all intensities."""
    del rng
    return x + strength


def compress(x: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Compress as JPEG with this quality."""
    from PIL import Image

    del rng
    found = []
    for image in _bytes(x).permute(0, 2, 3, 1).numpy():
        gray = image.shape[2] == 1
        file = io.BytesIO()
        Image.fromarray(image[..., 0] if gray else image).save(file, "JPEG", quality=int(strength))
        pixels = np.asarray(Image.open(file))
        found.append(pixels[..., None] if gray else pixels)
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() / 255


def pixelate(x: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Shrink each side to this share by averages, and enlarge by the nearest pixel."""
    del rng
    sides = [max(1, round(strength * side)) for side in x.shape[2:]]
    return F.interpolate(F.interpolate(x, sides, mode="area"), x.shape[2:], mode="nearest")


def rotate(x: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Rotate by this number of degrees, to a random side."""
    angles = math.radians(strength) * _signs(len(x), rng)
    rows = [angles.cos(), -angles.sin(), angles.sin(), angles.cos()]
    return _warped(x, torch.stack(rows, 1).view(-1, 2, 2))


def shear_rows(x: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Shift rows by this part of their distance from the middle, to a random side."""
    slopes = strength * _signs(len(x), rng)
    one, zero = torch.ones_like(slopes), torch.zeros_like(slopes)
    return _warped(x, torch.stack([one, slopes, zero, one], 1).view(-1, 2, 2))


def zoom_in(x: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Enlarge the middle of the image by this factor."""
    del rng
    return _warped(x, torch.eye(2).expand(len(x), 2, 2) / strength)


CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, ...]]] = {
    "noise": (gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "blur": (gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0)),
    "contrast": (scale_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "brightness": (add_brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "jpeg": (compress, (80, 65, 58, 50, 40)),
    "pixelate": (pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "rotation": (rotate, (5, 10, 15, 20, 30)),
    "shear": (shear_rows, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "zoom": (zoom_in, (1.1, 1.2, 1.3, 1.4, 1.5)),
}
"""Functions by name, with their strengths at the five severities."""


def corrupted(images: Tensor, name: str, severity: int, seed: int = 0) -> Tensor:
    """Return corrupted images, uint8 (N, C, H, W).

    Parameters
    ----------
    images
        Images, uint8 (N, C, H, W), which are not changed.
    name, severity
        A name in `CORRUPTIONS`, and a severity from 1 to 5.
    seed
        Seed of random noise and of random sides. Equal arguments give equal images.
    """
    corrupt, strengths = CORRUPTIONS[name]
    rng = np.random.default_rng((seed, list(CORRUPTIONS).index(name), severity))
    return _bytes(corrupt(images.cpu().float() / 255, strengths[severity - 1], rng))


def _bytes(x: Tensor) -> Tensor:
    return x.mul(255).round().clamp(0, 255).to(torch.uint8)


def _signs(count: int, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.choice((-1.0, 1.0), count)).float()


def _warped(x: Tensor, maps: Tensor) -> Tensor:
    """Sample images at places that linear maps, (N, 2, 2), assign to those of the result.

    Places are relative to the middle, in units of half a side. Outside, images are reflected.
    """
    maps = torch.cat([maps, torch.zeros(len(x), 2, 1)], 2)
    grid = F.affine_grid(maps, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, "bilinear", _BORDER, align_corners=False)

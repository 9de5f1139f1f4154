"""Fourier: a mask of low-frequency noise says which positions are whose.

FMix (Harris et al., 2020): noise whose spectrum falls as frequency^-decay; the own example keeps
the positions where it is largest, a share lam of them all.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layermix.mixing import checks
from layermix.mixing.blends.base import Draws
from layermix.mixing.blends.mask import MaskBlend
from layermix.mixing.random_fields import draw_seeds, normal_field


@dataclass(frozen=True)
class Fourier(MaskBlend):
    """Cut along the contours of random low-frequency noise.

    Attributes
    ----------
    decay
        How fast amplitudes fall with frequency; 3 is the paper's value.
    """

    decay: float = 3.0

    def __post_init__(self) -> None:
        checks.at_least(self, "decay")

    def draw(
        self, rng: np.random.Generator, rows: tuple[int, ...], batch: int
    ) -> dict[str, np.ndarray]:
        """Return the seeds of the noise's real and imaginary parts."""
        return {"seed": draw_seeds(rng, (*rows, 2))}

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        """Return True where the noise is largest, (R, *size)."""
        frequency = _frequencies(size, ratio.device)
        seeds, shape = draws["seed"].reshape(-1, 2), tuple(frequency.shape)
        real, imaginary = (
            normal_field(seeds[:, 0], shape),
            normal_field(seeds[:, 1], shape),
        )
        spectrum = torch.complex(real, imaginary) / frequency**self.decay
        noise = torch.fft.irfftn(spectrum, s=size, dim=tuple(range(1, 1 + len(size))))
        return largest(noise, ratio)


def largest(values: Tensor, share: Tensor) -> Tensor:
    """Return True at the largest values, as many of each row as make a share (R,)."""
    flat = values.flatten(1)
    rank = flat.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
    count = (share * flat.shape[1]).round()
    return (rank < count[:, None]).view(values.shape)


def _frequencies(size: tuple[int, ...], device: torch.device) -> Tensor:
    """Return the length of each frequency of a real transform; that of zero is the least other."""
    axes = [torch.fft.fftfreq(n, device=device) for n in size[:-1]]
    axes.append(torch.fft.rfftfreq(size[-1], device=device))
    grid = torch.meshgrid(*axes, indexing="ij")
    return torch.stack(grid).square().sum(0).sqrt().clamp_min(1 / max(size))

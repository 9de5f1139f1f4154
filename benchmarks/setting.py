"""How a benchmark is run: where, how often, at which size."""

from dataclasses import dataclass
from typing import Literal

import torch

from layermix.errors import InputError


@dataclass(frozen=True)
class Setting:
    """What the benchmarks have in common; each uses what concerns it."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where to measure."""
    repeats: int = 9
    """Repetitions, in each of which everything that is compared runs once."""
    threads: int = 1
    """CPU threads."""
    data: str = "digits"
    """Images to train on: `digits`, or a folder of parquet files or images."""
    tiny: bool = False
    """For step alone: a tiny network, against timm, torchvision and an expression by hand."""
    small: bool = False
    """Tiny sizes, which prove that it works and measure nothing."""

    def check(self) -> None:
        """Raise an `InputError` for a setting that cannot be."""
        for name in ("repeats", "threads"):
            if (value := getattr(self, name)) < 1:
                raise InputError(f"{name} is {value}, but must be 1 or more")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("device is 'cuda', but torch finds no GPU here: use --device cpu")

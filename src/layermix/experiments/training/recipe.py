"""The recipe: how a net is trained. One dataclass, whose fields are flags on the command line."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from layermix.errors import InputError, brief


@dataclass(frozen=True)
class Recipe:
    """How to train: SGD with Nesterov momentum, linear warm-up, decay to zero."""

    epochs: int = 20
    """Passes over the training images."""
    batch_size: int = 64
    """Images in a step."""
    lr: float = 0.1
    """Highest learning rate."""
    warmup: float = 0.2
    """Share of the steps over which the learning rate rises from zero."""
    decay: Literal["linear", "cosine"] = "linear"
    """How the learning rate falls to zero after that."""
    momentum: float = 0.9
    """Nesterov momentum."""
    weight_decay: float = 2e-3
    """Weight decay, on every parameter."""
    bias_lr: float = 1.0
    """Learning rate of biases, as a multiple of `lr`; their weight decay stays the same."""
    lookahead: bool = False
    """Every 5 steps let the weights go back part of the way, the further the later."""
    label_smoothing: float = 0.0
    """Label smoothing; mixing is compared best without."""
    crop: int | None = None
    """Largest random shift in pixels; when left out, what suits the data."""
    flip: bool | None = None
    """Mirror half of the images; when left out, what suits the data."""
    alternate: bool = False
    """Mirror each image in every second epoch, instead of anew at random."""
    alpha: float | None = None
    """Ratios come from Beta(alpha, alpha); when left out, 1 at the input and 2 elsewhere."""
    per: Literal["batch", "sample", "epoch"] = "batch"
    """Draw a ratio per batch, per sample or per epoch."""
    adapt: bool = True
    """Let the variant auto mix where the classes are found apart; off: equally often everywhere."""
    snnl_weight: float = 0.0
    """Weight of the soft nearest neighbor loss in the loss: above 0 classes are driven apart at a
    layer, below 0 they are entangled."""
    snnl_at: str = "final"
    """Mix point of the features for that loss."""
    watch: int = 6
    """How often in a run validation accuracy and geometry are measured (0: only at the end)."""
    geometry: bool = True
    """Measure every quantity of every layer: unmixed runs all along, others at the end."""
    views: bool = False
    """At the end also judge by the mean over shifted views of each test image, with `flip` mirrored
    ones too."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `mps`, or as `cuda:1`."""
    amp: bool = True
    """Train in bfloat16 where a GPU can."""
    bfloat16: bool = False
    """Train in bfloat16 on a CPU too, which has to have instructions for it to be faster."""
    channels_last: bool = True
    """Keep images with channels last in memory."""
    compile: bool = False
    """Compile the net with torch.compile."""

    def check(self) -> None:
        """Raise an `InputError` that names the first setting with a value that makes no sense."""
        _require(self.epochs >= 1, "epochs", self.epochs, "must be 1 or more")
        _require(
            self.batch_size >= 2, "batch_size", self.batch_size, "must be 2 or more to mix pairs"
        )
        for name in ("lr", "alpha", "bias_lr"):
            value = getattr(self, name)
            good = value is None or (math.isfinite(value) and value > 0)
            _require(good, name, value, "must be finite and above 0")
        for name in ("warmup", "momentum", "label_smoothing"):
            value = getattr(self, name)
            _require(0 <= value < 1, name, value, "must lie in [0, 1)")
        _require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "must be 0 or more")
        finite = math.isfinite(self.snnl_weight)
        _require(finite, "snnl_weight", self.snnl_weight, "must be finite")
        _require(self.crop is None or self.crop >= 0, "crop", self.crop, "must be 0 or more")
        _require(self.watch >= 0, "watch", self.watch, "must be 0 or more")

    def optimiser(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser of a net."""
        trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        biases = [p for name, p in trained if name.split(".")[-1] == "bias"]
        others = [p for name, p in trained if name.split(".")[-1] != "bias"]
        of_biases = {"lr": self.lr * self.bias_lr, "weight_decay": self.weight_decay / self.bias_lr}
        groups = [{"params": others}, {"params": biases, **of_biases}]
        return torch.optim.SGD(
            [group for group in groups if group["params"]],
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.momentum > 0,
        )

    def schedule(self, optimiser: torch.optim.Optimizer, steps: int) -> LambdaLR:
        """Return the schedule of the learning rate over so many steps."""
        return LambdaLR(optimiser, lambda step: self.lr_factor(step, steps))

    def lr_factor(self, step: int, steps: int) -> float:
        """Return the share of `lr` at a step of `steps`: rises over `warmup`, falls to zero."""
        rise = self.warmup * steps
        if step < rise:
            return (step + 1) / (rise + 1)
        progress = (step - rise) / max(1, steps - rise)
        return 1 - progress if self.decay == "linear" else (1 + math.cos(math.pi * progress)) / 2

    def mixing(self) -> dict[str, Any]:
        """Return how to mix, as arguments of a `Mixer`."""
        return {"alpha": self.alpha, "per": self.per}

    def watched(self, epoch: int) -> bool:
        """Tell whether validation accuracy and geometry are measured after an epoch (1, 2, ...)."""
        if not self.watch:
            return epoch == self.epochs
        return (epoch * self.watch) // self.epochs > ((epoch - 1) * self.watch) // self.epochs


def pick_device(name: str) -> torch.device:
    """Return the device of that name; ``auto`` takes a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name!r} cannot be used: {error}. Try --device auto") from error
    return device


def _require(good: bool, name: str, value: object, rule: str) -> None:
    if not good:
        raise InputError(f"{name} is {brief(value)}, but {rule}")

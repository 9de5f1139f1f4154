"""Training recipes and presets. The fields of `Recipe` are flags of the command line."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim.lr_scheduler import LambdaLR

from layermix.errors import InputError, brief
from layermix.lab.training.augmentation import Policy
from layermix.lab.typed import check_types

_RULES: dict[str, tuple[tuple[str, ...], Callable[[float], bool]]] = {
    "be 1 or more": (("epochs",), lambda value: value >= 1),
    "be 2 or more to mix pairs": (("batch_size",), lambda value: value >= 2),
    "be 1,000,000 or less": (("epochs", "batch_size"), lambda value: value <= 1_000_000),
    "be finite and above 0": (("lr", "alpha", "bias_lr"), lambda value: 0 < value < math.inf),
    "be in [0, 1)": (("warmup", "momentum", "label_smoothing"), lambda value: 0 <= value < 1),
    "be from -1,000 to 1,000": (("snnl_weight",), lambda value: abs(value) <= 1000),
    "be finite and 0 or more": (("weight_decay",), lambda value: 0 <= value < math.inf),
    "be 0 or more": (("crop", "monitor"), lambda value: value >= 0),
}


_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm, nn.LayerNorm)
_DEFAULTS = {"sgd": (0.1, 2e-3), "adamw": (2e-3, 0.05)}  # learning rate and weight decay


@dataclass(frozen=True)
class Recipe:
    """Training settings: SGD or AdamW, linear warm-up, decay to zero."""

    epochs: int = 20
    """Number of epochs."""
    batch_size: int = 64
    """Number of examples in a batch."""
    optimizer: Literal["auto", "sgd", "adamw"] = "auto"
    """SGD with Nesterov momentum, or AdamW; `auto` is SGD for images and sounds, else AdamW."""
    lr: float | None = None
    """Maximum learning rate; by default 0.1 for SGD and 0.002 for AdamW."""
    warmup: float = 0.2
    """Fraction of the steps for the linear warm-up of the learning rate."""
    decay: Literal["linear", "cosine"] = "linear"
    """Decay of the learning rate to zero."""
    momentum: float = 0.9
    """Nesterov momentum of SGD."""
    weight_decay: float | None = None
    """Weight decay of all parameters; by default 0.002 for SGD and 0.05 for AdamW."""
    bias_lr: float = 1.0
    """Learning rate of the biases of norms, as a multiple of `lr`; same weight decay."""
    lookahead: bool = False
    """Use Lookahead: every 5 steps, average the weights with a slow copy."""
    label_smoothing: float = 0.0
    """Label smoothing; 0 gives the clearest comparison of mixing."""
    crop: int | Literal["auto"] = "auto"
    """Maximum random shift in pixels; `auto` uses the default of the data."""
    flip: bool | Literal["auto"] = "auto"
    """Flip images with probability 0.5; `auto` uses the default of the data."""
    augment: Policy = "none"
    """Another augmentation of images: ``cutout``, or a policy of torchvision, ``trivial`` (Trivial
    Augment), ``rand`` (RandAugment) or ``augmix`` (AugMix)."""
    alternate: bool = False
    """Flip each image in every second epoch, instead of randomly."""
    alpha: float | None = None
    """Ratios are drawn from Beta(alpha, alpha); by default 1 at the input and 2 elsewhere."""
    per: Literal["batch", "sample", "epoch"] = "batch"
    """Draw a ratio per batch, per sample or per epoch."""
    norm_stats: Literal["mixed", "clean"] = "mixed"
    """``clean`` updates the running statistics of batch norms on unmixed batches only."""
    adapt: bool = True
    """The variant auto mixes more often where classes are separated; else equally often."""
    snnl_weight: float = 0.0
    """Weight of the soft nearest neighbor loss: > 0 separates classes, < 0 entangles them."""
    snnl_at: str = "final"
    """Mix point of the features for the soft nearest neighbor loss."""
    monitor: int = 6
    """Number of times to measure validation accuracy and geometry (0: only at the end)."""
    geometry: bool = True
    """Measure all quantities of all layers: with mixing only at the end, else at each `monitor`."""
    views: bool = False
    """Also evaluate the final model on shifted views of the test images, flipped if `flip`."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `mps`, or a device such as `cuda:1`."""
    amp: bool = True
    """Train in bfloat16 on a GPU that supports it."""
    bfloat16: bool = False
    """Also train in bfloat16 on a CPU; this is only faster on CPUs with bfloat16 instructions."""
    channels_last: bool = True
    """Keep images in channels-last memory format."""
    compile: bool = False
    """Compile the model with torch.compile."""
    sync_batchnorm: bool = True
    """If several processes train a run (torchrun), batch norms use the joined batch of all."""
    shard: bool = False
    """If several processes train a run, divide weights and optimizer state among them (FSDP2)."""

    def check(self) -> None:
        """Raise an `InputError` if a setting is invalid."""
        check_types(self)
        for rule, (names, is_valid) in _RULES.items():
            for name in names:
                value = getattr(self, name)
                if value not in (None, "auto") and not is_valid(value):
                    raise InputError(f"{name} is {brief(value)}, but must {rule}")

    @property
    def crop_and_flip(self) -> tuple[int, bool]:
        """The crop in pixels, and True if images are flipped; 0 and False for ``auto``."""
        return 0 if self.crop == "auto" else self.crop, self.flip is True

    def resolved(self, optimizer: Literal["sgd", "adamw"]) -> "Recipe":
        """Return the recipe with this optimizer for ``auto``, and the defaults of its optimizer."""
        chosen = optimizer if self.optimizer == "auto" else self.optimizer
        lr, decay = _DEFAULTS[chosen]
        return replace(
            self,
            optimizer=chosen,
            lr=lr if self.lr is None else self.lr,
            weight_decay=decay if self.weight_decay is None else self.weight_decay,
        )

    def build_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return the optimizer of a model; the recipe must be `resolved`."""
        if self.lr is None or self.weight_decay is None:
            raise InputError("lr or weight_decay is not set: call resolved first")
        norms = [module for module in model.modules() if isinstance(module, _NORMS)]
        biases = [n.bias for n in norms if n.bias is not None and n.bias.requires_grad]
        ids = {*map(id, biases)}
        others = [p for p in model.parameters() if p.requires_grad and id(p) not in ids]
        lr, decay = self.lr * self.bias_lr, self.weight_decay / self.bias_lr
        groups = [{"params": others}, {"params": biases, "lr": lr, "weight_decay": decay}]
        groups = [group for group in groups if group["params"]]
        # One operation for all weights; it supports neither sparse gradients nor divided weights.
        sparse = any(getattr(module, "sparse", False) for module in model.modules())
        fused = not sparse and not any(isinstance(p, DTensor) for p in model.parameters())
        settings: Any = {"lr": self.lr, "weight_decay": self.weight_decay, "fused": fused}
        if self.optimizer == "adamw":
            return torch.optim.AdamW(groups, **settings)
        nesterov = self.momentum > 0
        return torch.optim.SGD(groups, momentum=self.momentum, nesterov=nesterov, **settings)

    def schedule(self, optimizer: torch.optim.Optimizer, steps: int) -> LambdaLR:
        """Return the learning rate schedule for a number of steps."""
        return LambdaLR(optimizer, lambda step: self.lr_factor(step, steps))

    def lr_factor(self, step: int, steps: int) -> float:
        """Return the factor of `lr` at a step: it increases during `warmup`, then decays to 0."""
        rise = self.warmup * steps
        if step < rise:
            return (step + 1) / (rise + 1)
        progress = (step - rise) / max(1, steps - rise)
        return 1 - progress if self.decay == "linear" else (1 + math.cos(math.pi * progress)) / 2

    def is_half(self, device: torch.device) -> bool:
        """Return True if a model is trained in bfloat16 on a device."""
        if device.type == "cpu":
            return self.bfloat16
        return self.amp and device.type == "cuda" and torch.cuda.is_bf16_supported()

    def mixing(self) -> dict[str, Any]:
        """Return those `Mixer` arguments that the recipe sets."""
        return {"alpha": self.alpha, "per": self.per}

    def is_monitored(self, epoch: int) -> bool:
        """Return True if validation accuracy and geometry are measured after an epoch (1, ...)."""
        return epoch * self.monitor // self.epochs > (epoch - 1) * self.monitor // self.epochs


@dataclass(frozen=True)
class Preset:
    """A model and the recipe to train it, as a preset of the command line."""

    model: str = "auto"
    """For images and sounds: resnet-small (default), resnet-small-gn (group norm), resnet18,
    preactresnet18, speed, vit-small, timm:NAME. For texts: text-cnn (default), text-bag,
    text-transformer, transformers:CONFIG. For tables: table-resnet (default). For all but texts:
    mlp, mlp-ln (layer norm). Or package.module:factory."""
    recipe: Recipe = Recipe()


PLAIN = Preset()
# The recipe of the CIFAR-10 speed records (Jordan, 2024), converted to a mean loss: learning rate
# 11.5 / 7851 x 512 images, weight decay 0.0153 / 11.5.
SPEED = Preset(
    "speed",
    Recipe(
        epochs=10,
        batch_size=512,
        lr=0.75,
        warmup=0.23,
        momentum=0.85,
        weight_decay=1.33e-3,
        bias_lr=64.0,
        label_smoothing=0.2,
        crop=2,
        alternate=True,
        lookahead=True,
        views=True,
        monitor=1,
        bfloat16=True,
    ),
)
# A common recipe of ResNet-18 on CIFAR-10 (Jordan, 2023), with 32 or 80 epochs, the latter with
# cutout.
STANDARD = Preset("resnet18", Recipe(epochs=32, batch_size=500, lr=0.2, weight_decay=5e-4, crop=4))
PRESETS = {"plain": PLAIN, "speed": SPEED, "standard": STANDARD}

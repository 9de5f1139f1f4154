"""Time of the probe, which a mixer runs before its first mixed step.

The probe of all default mix points is compared with one forward pass of the same model, both on
three images in training mode. The number of forward passes of the probe is also counted.
"""

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from benchmarks.timing import against, alternate, measured
from layermix.hooks import Mixer
from layermix.lab.data.modality import map_arguments
from layermix.lab.models import build
from layermix.lab.training.environment import cpu_settings, torch_seed

_MODELS = ("timm:resnet50", "timm:vit_base_patch16_224")
_SMALL_MODELS = ("resnet-small",)
_CLASSES, _EXAMPLES = 10, 3


def bench_probe(setting: Setting) -> Table:
    """Time the probe of models at all their default mix points."""
    names, size = (_SMALL_MODELS, 8) if setting.small else (_MODELS, 224)
    with cpu_settings(setting.threads):
        rows = [row for name in names for row in _rows(name, (3, size, size), setting)]
    return Table(
        title=f"The probe of all default mix points over a forward pass, {setting.device}",
        rows=rows,
        notes=[
            f"Three images, 3 x {size} x {size}, in training mode, without gradients.",
            "passes: forward passes of the model.",
            "/ forward: ratio to the forward pass in the same repetition; median, minimum and "
            "maximum of n.",
        ],
    )


def _rows(name: str, shape: tuple[int, int, int], setting: Setting) -> list[Row]:
    with torch_seed(0):
        model: nn.Module = build(name, _CLASSES, map_arguments(shape)).train()
    model.to(torch.device(setting.device))
    x = torch.randn(_EXAMPLES, *shape, generator=torch.Generator().manual_seed(0))
    x = x.to(setting.device)
    mixer = Mixer(model, at="auto")

    def forward() -> object:
        with torch.no_grad():
            return model(x)

    timed = {"forward": forward, "probe": lambda: mixer.check(x)}
    seconds = alternate(timed, setting.repeats, device=setting.device)
    return [
        {
            "model": name,
            "what": what,
            "points": len(mixer.points),
            "passes": _passes(model, call),
            **measured(seconds, what),
            **against(seconds, what, "forward", "/ forward"),
        }
        for what, call in timed.items()
    ]


def _passes(model: nn.Module, call: Callable[[], object]) -> int:
    """Return the number of forward passes of a model during a call of `call`."""
    count = 0

    def add(*_: object) -> None:
        nonlocal count
        count += 1

    handle = model.register_forward_pre_hook(add)
    try:
        call()
    finally:
        handle.remove()
    return count

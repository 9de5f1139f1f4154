"""Time of each blend, relative to a copy of the tensor and to the linear mix.

Each blend applies one plan, drawn before the timing, to a feature map. A blend that needs no
positions is also applied to the features before a classifier. The forward pass is timed alone, and
together with the backward pass. The lower bound is a copy to allocated memory, which reads and
writes each number once.

Shapes: B examples; maps (B, C, H, W), features (B, d).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from benchmarks.timing import Thing, alternate, measured, ratio
from layermix.errors import InputError
from layermix.functional import mix
from layermix.lab.training.environment import cpu_settings
from layermix.mixing import BLENDS, Blend, MultiMix, Patches, PlanSampler

_SHAPES = {"map": (128, 64, 16, 16), "features": (128, 512)}
_RATIO = 0.7
_LEAST = 0.05  # minimum seconds of a measurement; it times several calls if one is faster
_COPY, _LINEAR = "copy", "linear"
_OTHERS = {"patches, hard": Patches(soft=False), "multimix, k = 1": MultiMix(k=1)}

Way = Callable[[Tensor], Tensor]
"""A function to time, which is called on a tensor (B, ...)."""


def bench_blends(setting: Setting) -> Table:
    """Time every blend on maps and on features, on the CPU."""
    if setting.device != "cpu":
        raise InputError(f"device is {setting.device!r}, but blends are only timed on the CPU")
    with cpu_settings(setting.threads):
        return Table(
            title="Blends over a copy and over the linear mix, float32",
            rows=[
                row for at in _SHAPES for run in (forward, both) for row in _rows(at, run, setting)
            ],
            notes=[
                f"map: {_SHAPES['map']}; features: {_SHAPES['features']}, only for blends that "
                "need no positions. pass: forward, or forward and backward. copy writes to "
                "allocated memory, and is the same in both.",
                "/ copy, / linear: ratio to the time of these in the same repetition; median, "
                "minimum and maximum of n. Drawing the plan is not timed.",
                "multimix returns k = 8 mixes for each example unless its row shows k, and "
                "append_clean returns the batch twice; copy and linear return it once.",
            ],
        )


def forward(way: Way, x: Tensor) -> Thing:
    """Return a function that runs the forward pass of `way` on `x`."""
    return lambda: way(x)


def both(way: Way, x: Tensor) -> Thing:
    """Return a function that runs the forward and the backward pass of `way` on `x`."""
    leaf = x.clone().requires_grad_()
    gradient = torch.ones_like(way(x))
    return lambda: torch.autograd.grad(way(leaf), leaf, gradient)


def ways(x: Tensor) -> dict[str, Way]:
    """Return the functions to time by name: a copy, and each blend that can mix `x`."""
    room = torch.empty_like(x)
    found: dict[str, Way] = {_COPY: lambda x: room.copy_(x)}
    for name, blend in ({name: kind() for name, kind in BLENDS.items()} | _OTHERS).items():
        way = _way(blend, len(x))
        try:
            way(x)
        except InputError:
            continue
        found[name] = way
    return found


def _way(blend: Blend, batch: int) -> Way:
    ratio = None if isinstance(blend, MultiMix) else _RATIO
    plan = PlanSampler(["final"], ratio=ratio, blend=blend, seed=0).draw(batch)
    return lambda x: mix(x, plan)


def _rows(at: str, run: Callable[[Way, Tensor], Thing], setting: Setting) -> list[Row]:
    shape = (4, *_SHAPES[at][1:]) if setting.small else _SHAPES[at]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    things = {name: (forward if name == _COPY else run)(way, x) for name, way in ways(x).items()}
    seconds = alternate(things, setting.repeats, least=_LEAST)
    passes = "forward" if run is forward else "and backward"
    return [{"what": name, "at": at, "pass": passes} | _numbers(name, seconds) for name in seconds]


def _numbers(name: str, seconds: dict[str, list[float]]) -> Row:
    found = measured(seconds, name)
    for base in (_COPY, _LINEAR):
        middle, least, most = ratio(seconds, name, base)
        found |= {f"/ {base}": middle, f"least / {base}": least, f"most / {base}": most}
    return found

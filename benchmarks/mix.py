"""Time of the linear mix, relative to a copy and to the mixing expression of the papers.

The lower bound is `copy_` to allocated memory, which reads and writes each number once; a mix reads
two numbers for each one that it writes. The plain expression is ``lam * x + (1 - lam) *
x[partner]`` with autograd. At the input, the mix is also compared with the mixup of other libraries
on images and labels. These times include drawing the plan and mixing the labels.

Shapes: B examples; (B, C, H, W) or (B, d).
"""

import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from benchmarks.timing import Thing, alternate, measured, ratio
from layermix.functional import mix
from layermix.lab.training.environment import cpu_settings
from layermix.mixing import Plan, PlanSampler

_SHAPES = ((256, 3, 32, 32), (256, 64, 16, 16), (512, 256, 8, 8), (512, 512))
_LEAST = 0.05  # minimum seconds of a measurement: several blocks of prefetched plans
_CLASSES = 10
_FORWARD, _BOTH, _LABELS = "forward", "and backward", "with labels"

Way = Callable[[Tensor], Tensor]


def bench_mix(setting: Setting) -> Table:
    """Time the linear mix for all shapes, with and without backward pass, and other libraries."""
    dtypes = [torch.float32, *([torch.bfloat16] if setting.device == "cuda" else [])]
    shapes = [(8, *shape[1:]) for shape in _SHAPES] if setting.small else _SHAPES
    with cpu_settings(setting.threads):
        rows = [
            row
            for dtype in dtypes
            for shape in shapes
            for row in (*_passes(shape, dtype, setting), *_peers(shape, dtype, setting))
        ]
    return Table(
        title=f"The linear mix over a copy and over the plain expression, {setting.device}",
        rows=rows,
        notes=[
            "copy_: to allocated memory; plain: lam * x + (1 - lam) * x[partner]. Drawing plans is "
            "not timed, except in rows with labels: there each call draws a plan and returns mixed "
            "images and labels. Ours returns two labels and a ratio, the other libraries soft "
            "labels; timm mixes in place.",
            "/ copy, / plain, / mix: ratio to the time of these in the same repetition; median. "
            "least, most: minimum and maximum of the n repetitions, for the first of these ratios.",
        ],
    )


def plain(x: Tensor, plan: Plan) -> Tensor:
    """Mix with the expression of the papers, ``lam * x + (1 - lam) * x[partner]``."""
    lam = plan.ratio.to(x.dtype)
    return lam * x + (1 - lam) * x[plan.partner]


def _passes(shape: tuple[int, ...], dtype: torch.dtype, setting: Setting) -> list[Row]:
    """Return the table rows of one shape: forward pass alone, and with backward pass."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(setting.device, dtype)
    room, leaf, gradient = torch.empty_like(x), x.clone().requires_grad_(), torch.randn_like(x)
    plan = PlanSampler(["final"], seed=0).draw(len(x), setting.device)

    def both(way: Way) -> Thing:
        return lambda: torch.autograd.grad(way(leaf), leaf, gradient)

    ways: dict[str, Way] = {"mix": lambda x: mix(x, plan), "plain": lambda x: plain(x, plan)}
    things: dict[str, Thing] = {
        "copy_": lambda: room.copy_(x),
        **{f"{name}, {_FORWARD}": partial(way, x) for name, way in ways.items()},
        **{f"{name}, {_BOTH}": both(way) for name, way in ways.items()},
    }
    seconds = alternate(things, setting.repeats, least=_LEAST, device=setting.device)
    return [
        _row(name, shape, dtype, seconds, {"copy_": "copy_"} | _plain_of(name)) for name in things
    ]


def _plain_of(name: str) -> dict[str, str]:
    """Return the name of the baseline row with the same forward or backward pass, {} for a copy."""
    passes = name.partition(", ")[2]
    return {"plain": f"plain, {passes}"} if passes else {}


def _peers(shape: tuple[int, ...], dtype: torch.dtype, setting: Setting) -> list[Row]:
    """Return the table rows of other libraries, which need images with three channels."""
    if shape[1] != 3 or dtype != torch.float32:
        return []
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(setting.device)
    labels = (torch.arange(len(x)) % _CLASSES).to(setting.device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of their own imports
        things = {f"mix, {_LABELS}": _own(x, labels)}
        for name, peer in _PEERS.items():
            try:
                things[f"{name}, {_LABELS}"] = peer(x, labels)
            except ImportError:
                continue
        seconds = alternate(things, setting.repeats, least=_LEAST, device=setting.device)
    return [_row(name, shape, dtype, seconds, {"mix": f"mix, {_LABELS}"}) for name in things]


def _own(x: Tensor, labels: Tensor) -> Thing:
    sampler = PlanSampler(["input"], seed=0)

    def call() -> tuple[Tensor, object]:
        plan = sampler.draw(len(x), x.device)
        return mix(x, plan), plan.target(labels)

    return call


def _timm(x: Tensor, labels: Tensor) -> Thing:
    from timm.data.mixup import Mixup

    mixup = Mixup(mixup_alpha=1.0, label_smoothing=0.0, num_classes=_CLASSES)
    own = x.clone()  # it mixes in place
    return lambda: mixup(own, labels)


def _torchvision(x: Tensor, labels: Tensor) -> Thing:
    from torchvision.transforms import v2

    mixup = v2.MixUp(num_classes=_CLASSES)
    return lambda: mixup(x, labels)


def _kornia(x: Tensor, labels: Tensor) -> Thing:
    import kornia.augmentation

    mixup = kornia.augmentation.RandomMixUpV2(p=1.0, data_keys=["input", "class"])
    return lambda: mixup(x, labels)


_PEERS = {"timm": _timm, "torchvision": _torchvision, "kornia": _kornia}


def _row(
    name: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    seconds: dict[str, list[float]],
    bases: dict[str, str],
) -> Row:
    """Return a table row: the time of a function, divided by those of the functions in `bases`."""
    what, _, passes = name.partition(", ")
    row: Row = {
        "what": what,
        "at": str(shape),
        "pass": passes,
        "dtype": str(dtype).removeprefix("torch."),
        **measured(seconds, name),
    }
    spread: tuple[float, ...] | None = None
    for column, known in (("/ copy", "copy_"), ("/ plain", "plain"), ("/ mix", "mix")):
        found = ratio(seconds, name, bases[known]) if known in bases else None
        row[column] = found[0] if found else float("nan")
        spread = spread or found
    row["least"], row["most"] = spread[1:] if spread else (float("nan"), float("nan"))
    return row

"""What does a blend cost, against a plain copy of the tensor and against the linear mix?

Every blend carries out one plan, drawn beforehand, on a map and, where it needs no positions, on
the features before a classifier: forward alone, and forward with the backward pass through it. The
floor is a copy of the tensor, which reads and writes each number once.

Shapes: B examples; maps (B, C, H, W), features (B, d).
"""

import statistics
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.lab.bench.table import Row, Table
from layermix.lab.bench.timing import alternate, ratio
from layermix.lab.training.cpu import cpu_settings
from layermix.mixing import BLENDS, Blend, Many, Patches, Planner, mix

_CALLS = {(128, 64, 16, 16): 1, (128, 512): 50}  # by shape; in one measurement
_REPEATS, _RATIO = 9, 0.7
_COPY, _LINEAR = "copy", "linear"
_OTHERS = {"patches, hard": Patches(soft=False), "many, k = 1": Many(k=1)}

Way = Callable[[Tensor], Tensor]
"""What is timed: a function of a tensor (B, ...)."""


def blends() -> Table:
    """Time every blend on both shapes, on one thread."""
    with cpu_settings(threads=1):
        return Table(
            title="Blends, over a copy of the tensor and over the linear mix; float32, one thread",
            rows=[row for shape in _CALLS for run in (forward, both) for row in _rows(shape, run)],
            notes=[
                "/ copy, / linear: to these in the same repetition, median (least to largest); "
                "the plan is drawn beforehand.",
                "many returns k = 8 mixes for each example where nothing else is said, and beside "
                "the batch twice; what they are compared with returns it once.",
                "On (B, d) only those blends are timed that need no positions.",
            ],
        )


def forward(way: Way, x: Tensor) -> Callable[[], object]:
    """Return the forward pass of one way, as something to time."""
    return lambda: way(x)


def both(way: Way, x: Tensor) -> Callable[[], object]:
    """Return its forward and backward pass, as something to time."""
    leaf = x.clone().requires_grad_()
    gradient = torch.ones_like(way(x))
    return lambda: torch.autograd.grad(way(leaf), leaf, gradient)


def ways(x: Tensor) -> dict[str, Way]:
    """Return a copy, and every blend that can mix a tensor like this, by name."""
    found: dict[str, Way] = {_COPY: torch.clone}
    for name, blend in ({name: kind() for name, kind in BLENDS.items()} | _OTHERS).items():
        way = _way(blend, len(x))
        try:
            way(x)
        except InputError:
            continue
        found[name] = way
    return found


def _way(blend: Blend, batch: int) -> Way:
    plan = Planner(["final"], ratio=_RATIO, blend=blend, seed=0).draw(batch)
    return lambda x: mix(x, plan)


def _rows(shape: tuple[int, ...], run: Callable[[Way, Tensor], Callable[[], object]]) -> list[Row]:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    calls = _CALLS[shape]
    things = {name: partial(_often, run(way, x), calls) for name, way in ways(x).items()}
    seconds = alternate(things, _REPEATS)
    passes = "forward" if run is forward else "forward + backward"
    return [_row(name, shape, passes, seconds) for name in seconds]


def _often(thing: Callable[[], object], calls: int) -> None:
    for _ in range(calls):
        thing()


def _row(name: str, shape: tuple[int, ...], passes: str, seconds: dict[str, list[float]]) -> Row:
    row: Row = {
        "what": name,
        "shape": " x ".join(map(str, shape)),
        "pass": passes,
        "n": str(_REPEATS),
        "seconds": statistics.median(seconds[name]) / _CALLS[shape],
    }
    for base in (_COPY, _LINEAR):
        middle, least, most = ratio(seconds, name, base)
        row |= {f"/ {base}": middle, f"least / {base}": least, f"largest / {base}": most}
    return row

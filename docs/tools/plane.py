"""Draw mixing at the input and in a hidden layer, both in two dimensions.

The data are points on three concentric rings. A small network is trained to classify them. Its
hidden layer has two features, so that both layers can be drawn. The same pairs are mixed with the
same ratios at both layers. An intruder is a mixed point whose nearest real point has another class
than both of its parents.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from layermix.functional import mix
from layermix.geometry import intruders
from layermix.hooks import activations
from layermix.lab.training.environment import torch_seed
from layermix.mixing import PlanSampler
from layermix.reporting.figures.style import (
    GRAY,
    WARNING,
    WIDTH,
    Figure,
    add_legend,
    canvas,
    color,
    finish,
    marker,
    style,
)

POINTS, CLASSES, HIDDEN = 1000, 3, "hidden"
_STEPS, _SEED = 200, 0
_NOTE = (
    "A mixed point is an intruder (red cross) when its nearest real point, the two parents aside, "
    "is of a class that neither parent has; pairs of one class are mixed too."
)


@dataclass(frozen=True)
class Layer:
    """The points to draw for one layer, the input or the hidden layer.

    Attributes
    ----------
    real, mixed
        Real and mixed points, shape (N, 2).
    labels
        Classes of the real points, shape (N,).
    partner
        Partner of each point, shape (N,).
    intruders
        Mask of the mixed points that are intruders, shape (N,).
    """

    real: Tensor
    mixed: Tensor
    labels: Tensor
    partner: Tensor
    intruders: Tensor


@style()
def plane() -> list[Figure]:
    """Draw mixed points at the input and in the hidden layer, with intruders marked and counted."""
    x, y = rings()
    model, accuracy = _trained(x, y, norm=True)
    plain_model, plain_accuracy = _trained(x, y, norm=False)
    at_input, at_hidden = layers(model, x, y)
    plain_intruders = int(layers(plain_model, x, y)[1].intruders.sum())
    about_net = (
        "The hidden layer (two features after a batch norm) of a network trained on these points "
        f"for {_STEPS} steps; it classifies {accuracy:.1%} of them correctly. An illustration, not "
        f"a proof: without the batch norm the same network ({plain_accuracy:.1%} correct) puts the "
        f"rings nearly on a line, and {plain_intruders:,} of the {POINTS:,} are intruders."
    )
    return [
        _draw(at_input, "plane-input", "Mixed at the input", _NOTE),
        _draw(at_hidden, "plane-hidden", "Mixed in a hidden layer", about_net),
    ]


def rings() -> tuple[Tensor, Tensor]:
    """Return points on concentric rings, float32 (N, 2), and the ring of each, int64 (N,)."""
    rng = np.random.default_rng(_SEED)
    ring = np.arange(POINTS) % CLASSES
    radius = (0.5 + ring + rng.normal(0, 0.1, POINTS)) / CLASSES
    angle = rng.uniform(0, 2 * np.pi, POINTS)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(ring)


def layers(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Layer, Layer]:
    """Return the input and the hidden layer, in which the same pairs have the same ratios."""
    real = activations(model, x, ["input", HIDDEN])
    found = []
    for point in ("input", HIDDEN):
        plan = PlanSampler([point], ratio="uniform", per="sample", seed=_SEED).draw(len(x))
        mixed = mix(real[point], plan)
        intruding = intruders(mixed, real[point], y, plan.partner)
        found.append(Layer(real[point], mixed, y, plan.partner, intruding))
    return found[0], found[1]


class Net(nn.Module):
    """Perceptron with layers of 2, 64, 64, 2 and 3 units; the layer of 2 features is drawn."""

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        narrow = nn.Linear(64, 2)
        self.hidden = nn.Sequential(narrow, nn.BatchNorm1d(2)) if norm else narrow
        self.head = nn.Linear(2, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map points (B, 2) to logits (B, 3)."""
        return self.head(self.hidden(self.body(x)))


def _trained(x: Tensor, y: Tensor, norm: bool) -> tuple[nn.Module, float]:
    """Return a network trained on all points (on one thread, so reproducible) and its accuracy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch_seed(_SEED):
            model = Net(norm)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=_STEPS)
        for _ in range(_STEPS):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            return model, float((model(x).argmax(1) == y).double().mean())
    finally:
        torch.set_num_threads(threads)


def _draw(layer: Layer, name: str, title: str, caption: str) -> Figure:
    drawing, (axes,) = canvas(WIDTH + 30)
    found = int(layer.intruders.sum())
    count = f"{found:,} of {POINTS:,} mixed points ({found / POINTS:.1%}) are intruders"
    axes.set_title(f"{title}\n{count}", linespacing=1.5)
    _scatter(axes, layer)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_axis_off()
    add_legend(drawing, axes.get_legend_handles_labels()[1], loc="outside lower center")
    alt = f"{title}: points of {CLASSES} classes and mixed points between them. {count}."
    return finish(drawing, name, alt, f"{title}. {count}. {caption}")


def _scatter(axes: Axes, layer: Layer) -> None:
    others = layer.mixed[~layer.intruders]
    axes.plot(*others.T.numpy(), "o", color=GRAY, markersize=2, mew=0, label="mixed")
    for ring in range(CLASSES):
        own = layer.real[layer.labels == ring]
        style = {"color": color((0, 2, 4)[ring]), "markersize": 3.6, "mew": 0}
        axes.plot(*own.T.numpy(), marker(ring), ls="", label=f"class {ring + 1}", **style)
    crosses = layer.mixed[layer.intruders]
    axes.plot(*crosses.T.numpy(), "x", color=WARNING, markersize=4, mew=1.1, label="intruder")


def draw_plane(folder: Path) -> list[Path]:
    """Draw the figures of both layers to files in a folder, and return their paths."""
    paths = []
    for figure in plane():
        paths.append(folder / f"{figure.name}.svg")
        paths[-1].write_text(figure.standalone(), encoding="utf-8")
    return paths

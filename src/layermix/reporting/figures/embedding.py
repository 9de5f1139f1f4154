"""Scatter plots of a block's features in two dimensions, before and after training.

They are the activations of the monitored batch that one run of a study saves
(``features.safetensors``). The map is a t-SNE (van der Maaten and Hinton, 2008); the SNNL is
computed from the full features.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits
from torch import Tensor

from layermix.geometry import snnl
from layermix.lab.store import FEATURES, read_tensors
from layermix.lab.study import StudyFolder
from layermix.reporting.figures.style import (
    GRAY,
    WIDTH,
    Figure,
    add_legend,
    canvas,
    color,
    finish,
    marker,
    shorten,
    style,
)

_NAMED = 20  # classes with a color; more could not be told apart
_NAME = 16  # characters of a name in the legend


@style()
def embedding(study: StudyFolder, classes: Sequence[str]) -> list[Figure]:
    """Draw the features of the last block before and after training.

    They are from the first variant with the first seed. If they are missing, the list is empty.
    """
    cell = next(cell for cell in study.cells() if study.keeps_features(cell))
    path = study.path(cell) / FEATURES
    if not path.exists():
        return []
    tensors = read_tensors(study.path(cell), FEATURES)
    block, run = last_block(tensors), f"run {cell.variant!r}, seed {cell.seed}"
    return [
        _draw(tensors[f"{when}.{block}"], tensors["labels"], classes, f"embedding-{when}", title)
        for when, title in (
            ("start", f"{block}, before training ({run})"),
            ("end", f"{block}, after training ({run})"),
        )
    ]


def last_block(tensors: dict[str, Tensor]) -> str:
    """Return the last block whose features are saved, or the final layer if there is no block.

    Tensors are sorted by name; the numbers in the names give the order of the network.
    """
    names = [key.removeprefix("end.") for key in tensors if key.startswith("end.")]
    blocks = [name for name in names if name not in ("input", "final", "logits")]
    return max(blocks or names, key=lambda name: list(map(int, re.findall(r"\d+", name))))


def project(features: Tensor) -> np.ndarray:
    """Return a reproducible t-SNE map (N, 2) of features (N, d).

    Features are centered and scaled below 1 first, because the squares of a diverged network's
    features overflow. The scale is a power of two, which changes no bit of the map. Features that
    are all equal stay one point.
    """
    x = features.flatten(1).double().numpy()
    x = np.pad(x - x.mean(0), ((0, 0), (0, x.shape[1] == 1)))  # t-SNE needs two features
    largest, exponent = np.frexp(np.abs(x).max())
    if largest == 0:
        return np.zeros((len(x), 2))
    perplexity = min(30.0, (len(x) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", method="exact", max_iter=500, random_state=0)
    with threadpool_limits(1):  # the order of sums, and so the map, depends on the threads
        return tsne.fit_transform(np.ldexp(x, -exponent))


def _draw(
    features: Tensor, labels: Tensor, classes: Sequence[str], name: str, title: str
) -> Figure:
    found = snnl(features, labels)
    shown = [shorten(label, _NAME) for label in classes[:_NAMED]]
    shown += [f"{len(classes) - _NAMED} others"] * (len(classes) > _NAMED)
    drawing, (axes,) = canvas(WIDTH + 16 * math.ceil(len(shown) / 4))
    value = f"SNNL {max(found.value, 0):.3f} (chance {found.chance:.2f})"
    axes.set_title(f"{shorten(title, 56)}\n{value}", linespacing=1.5)
    _scatter(axes, project(features), labels.numpy(), shown)
    add_legend(drawing, shown, loc="outside lower center")
    alt = f"{title}: {found.n} examples of {len(classes)} classes as points. {value}."
    caption = (
        f"{title}. {value} at its best temperature {found.temperature:.3g}, N = {found.n}, "
        f"d = {features.flatten(1).shape[1]:,}, of the full features. The points are their t-SNE; "
        "its distances are not distances of features."
    )
    if len(classes) > _NAMED:
        caption += f" The first {_NAMED} of the {len(classes):,} classes have colors."
    return finish(drawing, name, alt, caption)


def _scatter(axes: Axes, places: np.ndarray, labels: np.ndarray, names: list[str]) -> None:
    """Draw the examples of each class; classes without a name share one color."""
    for index, name in enumerate(names):
        rest = index == _NAMED
        members = places[labels >= _NAMED if rest else labels == index].T
        look: dict[str, Any] = {"color": GRAY, "zorder": 1} if rest else {"color": color(index)}
        shape = "." if rest else marker(index)
        axes.plot(*members, shape, ls="", alpha=0.9, markersize=5, label=name, **look)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)

"""The embedding: a block's features as points in two dimensions, before and after training.

Computed from the activations that one run of a study keeps of its monitored batch
(``features.safetensors``). The map is a t-SNE (van der Maaten and Hinton, 2008), which shows who
is near whom; the SNNL beside it is measured on the full features.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from safetensors.torch import load_file
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits
from torch import Tensor

from layermix.experiments.study import Study
from layermix.geometry import SNNL, snnl
from layermix.reporting.figures.labels import plain, shorten, widest
from layermix.reporting.figures.style import (
    TITLE,
    WIDTH,
    Figure,
    canvas,
    color,
    finish,
    look,
    marker,
)

_NAMED = 20  # classes with a color and a name of their own; more could not be told apart
_COLUMNS, _NAME_MOST = 5, 90  # of the legend: how many, and points for a name
_HANDLE = 25  # points in the legend for a marker and the gaps beside it
_REST = "#888888"


@look()
def embedding(study: Study, classes: Sequence[str]) -> list[Figure]:
    """Draw the last block's features before and after training; nothing without its run.

    Parameters
    ----------
    study
        The study; of its runs the first variant's first seed keeps features.
    classes
        Names of the classes; label k is ``classes[k]``.
    """
    cell = next(cell for cell in study.cells() if study.keeps_features(cell))
    path = study.path(cell) / "features.safetensors"
    if not path.exists():
        return []
    tensors = load_file(path)
    labels, block = tensors["labels"], last_block(tensors)
    run = f"{cell.variant!r}, seed {cell.seed}"
    return [
        _draw(tensors[f"{when}.{block}"], labels, classes, f"embedding-{when}", title, run)
        for when, title in (
            ("start", f"{block}, before training"),
            ("end", f"{block}, after training"),
        )
    ]


def last_block(tensors: dict[str, Tensor]) -> str:
    """Return the last block whose features are kept; the final layer where there is none.

    Tensors come back sorted by name, so that blocks are told apart by the numbers in their names.
    """
    names = [key.removeprefix("end.") for key in tensors if key.startswith("end.")]
    blocks = [name for name in names if name not in ("input", "final", "logits")]
    return max(blocks or names, key=_natural)


def project(features: Tensor) -> np.ndarray:
    """Return a t-SNE of features (N, d) in two dimensions, the same each time on a machine.

    The features are centerd and scaled to less than 1 before, for the squares of a diverged net's
    features overflow. The scale is a power of two, so that no bit of the map depends on it.
    Features that are all equal stay one point.
    """
    x = features.flatten(1).double().numpy()
    x = np.pad(x - x.mean(0), ((0, 0), (0, x.shape[1] == 1)))  # one feature alone gets a mate
    largest, exponent = np.frexp(np.abs(x).max())
    if largest == 0:
        return np.zeros((len(x), 2))
    perplexity = min(30.0, (len(x) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", method="exact", max_iter=500, random_state=0)
    with threadpool_limits(1):  # the order of sums, and with it the map, depends on the threads
        return tsne.fit_transform(np.ldexp(x, -exponent))


def _draw(
    features: Tensor, labels: Tensor, classes: Sequence[str], name: str, title: str, run: str
) -> Figure:
    found = snnl(features, labels)
    shown = [plain(shorten(label, _NAME_MOST)) for label in classes[:_NAMED]]
    shown += [f"{len(classes) - _NAMED} others"] * (len(classes) > _NAMED)
    columns = _columns(shown)
    bottom = 8 + 16 * math.ceil(len(shown) / columns)
    drawing, axes = canvas(WIDTH + bottom - 60, left=8, right=8, top=44, bottom=bottom)
    value = f"SNNL {max(found.value, 0):.3f} (chance {found.chance:.2f})"
    axes.set_title(f"{plain(shorten(title, WIDTH - 30, TITLE))}\n{value}", linespacing=1.5)
    _scatter(axes, project(features), labels.numpy(), shown)
    _legend(axes, columns)
    alt = f"{title}: {found.n} examples of {len(classes)} classes as points. {value}."
    caption = f"{title} (run {run}). {_about(found, features)}{_rest(len(classes))}"
    return finish(drawing, name, alt, caption)


def _columns(names: Sequence[str]) -> int:
    """Return how many names stand side by side in the legend."""
    room = (WIDTH - 16) // (widest(names, _NAME_MOST) + _HANDLE)
    return max(1, min(_COLUMNS, len(names), int(room)))


def _scatter(axes: Axes, places: np.ndarray, labels: np.ndarray, names: list[str]) -> None:
    """Draw each class, those without a name together, behind the others."""
    for index, name in enumerate(names):
        rest = index == _NAMED
        own = labels >= _NAMED if rest else labels == index
        style = {"alpha": 0.9, "markersize": 5, "mew": 0, "ls": "", "label": name}
        if rest:
            axes.plot(*places[own].T, ".", **style | {"color": _REST, "alpha": 0.5, "zorder": 1})
        else:
            axes.plot(*places[own].T, marker(index), color=color(index), **style)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.04)
    axes.spines[:].set_visible(False)


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=columns,
        columnspacing=1.4,
        handletextpad=0.2,
        borderaxespad=0.2,
    )


def _rest(classes: int) -> str:
    if classes <= _NAMED:
        return ""
    return f" The first {_NAMED} of the {classes:,} classes have colors, the others are grey dots."


def _about(found: SNNL, features: Tensor) -> str:
    return (
        f"SNNL {max(found.value, 0):.3f} at T = {found.temperature:.3g}, where it is least; "
        f"chance level {found.chance:.2f}; N = {found.n}, d = {features.flatten(1).shape[1]:,}. "
        "The SNNL is that of the full features; the points are their t-SNE, in which distances "
        "are not distances between features."
    )


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sort ``block10`` after ``block9``."""
    parts = "".join(c if c.isdigit() else f"\0{c}\0" for c in name).split("\0")
    return tuple((int(p), "") if p.isdigit() else (-1, p) for p in parts if p)

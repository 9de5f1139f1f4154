"""A strip: the accuracy of every seed as a dot, as small as a table's cell."""

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT, _EDGE = 96, 18, 5


def strip(seeds: Sequence[int], values: Sequence[float], ends: tuple[float, float]) -> str:
    """Return a small ``<svg>`` with a dot for each seed, drawn in the page's text color.

    Parameters
    ----------
    seeds
        The seeds.
    values
        The accuracy of each, as a share.
    ends
        Accuracies in % at both ends, the same for every row; dots beyond stand at the end, hollow.
    """
    words = ", ".join(f"seed {seed} {value:.2%}" for seed, value in zip(seeds, values, strict=True))
    dots = "".join(_dot(seed, 100 * value, ends) for seed, value in zip(seeds, values, strict=True))
    middle = _HEIGHT / 2
    return (
        f'<svg class="strip" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'role="img" aria-label="{escape(words)}"><path d="M0 {middle}H{_WIDTH}" '
        f'stroke="currentColor" stroke-opacity=".2"/>{dots}</svg>'
    )


def _dot(seed: int, value: float, ends: tuple[float, float]) -> str:
    low, high = ends
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    x = _EDGE + share * (_WIDTH - 2 * _EDGE)
    look = (
        'fill="currentColor" fill-opacity=".55"'
        if low <= value <= high
        else 'fill="none" stroke="currentColor"'
    )
    return (
        f'<circle cx="{x:.1f}" cy="{_HEIGHT / 2}" r="3" {look}>'
        f"<title>seed {seed}: {value:.2f}%</title></circle>"
    )

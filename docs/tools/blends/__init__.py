"""Draw the figures of `docs/blends`, each with the blend that it shows.

By default, a blend is drawn as the mix of two photographs at three ratios. For other figures, add a
function to `others.py` and `_OTHERS`.
"""

from collections.abc import Callable
from pathlib import Path

from docs.tools.blends.others import aligned, append_clean, moment_exchange, multimix, patches
from docs.tools.blends.pairs import at_ratios, pairs
from layermix.errors import unknown
from layermix.mixing import BLENDS
from layermix.reporting.figures.style import Figure, style

__all__ = ["draw_blend", "draw_blends"]

_OTHERS: dict[str, Callable[[], Figure]] = {
    "aligned": aligned,
    "append_clean": append_clean,
    "moment_exchange": moment_exchange,
    "multimix": multimix,
    "patches": patches,
}


@style()
def draw_blend(name: str) -> Figure:
    """Draw the figure of a blend.

    Raises
    ------
    InputError
        If the blend is unknown.
    """
    if name not in BLENDS:
        raise unknown("blend", name, BLENDS)
    return _OTHERS[name]() if name in _OTHERS else pairs(name, at_ratios(BLENDS[name]()))


def draw_blends(folder: Path) -> list[Path]:
    """Draw the figures of all blends to a folder, as NAME.svg; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in BLENDS:
        paths.append(folder / f"{name}.svg")
        paths[-1].write_text(draw_blend(name).standalone(), encoding="utf-8")
    return paths

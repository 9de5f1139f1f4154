"""How: blends, by name. Each is a file with its formula, its source and what it needs drawn.

A new blend is a file and a line in `BLENDS`; the mixer, the command line and the tests take it up.
"""

from layermix.errors import InputError, brief, unknown
from layermix.mixing.blends.aligned import Aligned
from layermix.mixing.blends.beside import Beside
from layermix.mixing.blends.blend import Blend, Blended
from layermix.mixing.blends.cut import Cut
from layermix.mixing.blends.fourier import Fourier
from layermix.mixing.blends.grid import Grid
from layermix.mixing.blends.linear import Linear, interpolate
from layermix.mixing.blends.many import Many
from layermix.mixing.blends.moments import Exchange, Style
from layermix.mixing.blends.noisy import Noisy
from layermix.mixing.blends.patches import Patches
from layermix.mixing.blends.resize import Resize
from layermix.mixing.blends.salient import Salient

__all__ = [
    "BLENDS",
    "Aligned",
    "Beside",
    "Blend",
    "Blended",
    "Cut",
    "Exchange",
    "Fourier",
    "Grid",
    "Linear",
    "Many",
    "Noisy",
    "Patches",
    "Resize",
    "Salient",
    "Style",
    "find_blend",
    "interpolate",
]

BLENDS: dict[str, type[Blend]] = {
    "linear": Linear,
    "cut": Cut,
    "fourier": Fourier,
    "grid": Grid,
    "resize": Resize,
    "salient": Salient,
    "patches": Patches,
    "noisy": Noisy,
    "aligned": Aligned,
    "exchange": Exchange,
    "style": Style,
    "many": Many,
    "beside": Beside,
}


def find_blend(blend: str | Blend) -> Blend:
    """Return the blend of that name with its default settings, or a blend as it is.

    Raises
    ------
    InputError
        For an unknown name, or what is neither a name nor a blend.
    """
    if isinstance(blend, Blend):
        return blend
    if not isinstance(blend, str):
        raise InputError(
            f"the blend is {brief(blend)}, but must be the name of one ({', '.join(BLENDS)}) or a "
            "blend such as layermix.mixing.Cut()"
        )
    if blend not in BLENDS:
        raise unknown("blend", blend, BLENDS)
    return BLENDS[blend]()

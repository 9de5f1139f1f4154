"""The blends by name. To add one, write a class and add a line to `BLENDS`."""

from layermix.errors import InputError, brief, unknown
from layermix.mixing.blends.aligned import Aligned
from layermix.mixing.blends.append_clean import AppendClean
from layermix.mixing.blends.base import Blend, Blended, LabelWeights
from layermix.mixing.blends.boxes import Cut, Resize, Salient
from layermix.mixing.blends.linear import Linear, interpolate
from layermix.mixing.blends.moments import MixStyle, MomentExchange
from layermix.mixing.blends.multimix import MultiMix
from layermix.mixing.blends.noisy import Noisy
from layermix.mixing.blends.random_masks import Fourier, Grid, Patches

__all__ = [
    "BLENDS",
    "Aligned",
    "AppendClean",
    "Blend",
    "Blended",
    "Cut",
    "Fourier",
    "Grid",
    "LabelWeights",
    "Linear",
    "MixStyle",
    "MomentExchange",
    "MultiMix",
    "Noisy",
    "Patches",
    "Resize",
    "Salient",
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
    "moment_exchange": MomentExchange,
    "mixstyle": MixStyle,
    "multimix": MultiMix,
    "append_clean": AppendClean,
}


def find_blend(blend: str | Blend) -> Blend:
    """Return the blend of this name, with default settings; return a `Blend` unchanged.

    Raises
    ------
    InputError
        If the name is unknown, or the object has another type.
    """
    if isinstance(blend, Blend):
        return blend
    if not isinstance(blend, str):
        raise InputError(
            f"the blend is {brief(blend)}, but must be a name ({', '.join(BLENDS)}) or a blend "
            "such as layermix.mixing.Cut()"
        )
    if blend not in BLENDS:
        raise unknown("blend", blend, BLENDS)
    return BLENDS[blend]()

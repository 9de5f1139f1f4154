"""Every blend with its default settings, and with few iterations."""

from layermix.mixing import BLENDS, Aligned, Blend

TINY: dict[str, Blend] = {name: blend() for name, blend in BLENDS.items()}
TINY["aligned"] = Aligned(iterations=3)

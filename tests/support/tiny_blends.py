"""Every blend with its default settings, and with as few iterations as will do."""

from layermix.mixing import BLENDS, Aligned, Blend

TINY: dict[str, Blend] = {name: blend() for name, blend in BLENDS.items()}
TINY["aligned"] = Aligned(iterations=3)

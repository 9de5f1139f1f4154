"""What label: the targets of a mixed batch, which own its loss and its metrics."""

from layermix.mixing.targets.beside import BesideTarget
from layermix.mixing.targets.many import ManyTarget
from layermix.mixing.targets.mixed import MixedTarget
from layermix.mixing.targets.remix import Remix
from layermix.mixing.targets.several import Targets
from layermix.mixing.targets.target import Target

__all__ = ["BesideTarget", "ManyTarget", "MixedTarget", "Remix", "Target", "Targets"]

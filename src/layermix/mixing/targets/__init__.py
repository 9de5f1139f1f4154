"""The targets of a mixed batch, with their loss and metrics."""

from layermix.mixing.targets.append_clean_target import AppendCleanTarget
from layermix.mixing.targets.mapping import Targets
from layermix.mixing.targets.mixed import MixedTarget
from layermix.mixing.targets.multimix_target import MultiMixTarget
from layermix.mixing.targets.remix import Remix
from layermix.mixing.targets.target import Target

__all__ = ["AppendCleanTarget", "MixedTarget", "MultiMixTarget", "Remix", "Target", "Targets"]

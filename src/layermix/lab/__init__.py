"""The lab: train one net, compare mix points over seeds, report what was found."""

from layermix.lab.compare import compare
from layermix.lab.data import DataConfig
from layermix.lab.run import RunConfig, run
from layermix.lab.study import Study, StudyConfig, plan
from layermix.lab.training.recipe import Recipe

__all__ = ["DataConfig", "Recipe", "RunConfig", "Study", "StudyConfig", "compare", "plan", "run"]

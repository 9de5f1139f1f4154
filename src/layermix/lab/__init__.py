"""The lab: train one net, compare mix points over seeds, report what was found."""

from layermix.extras import missing_module

try:
    from layermix.lab.compare import compare
    from layermix.lab.data import DataConfig
    from layermix.lab.run import RunConfig, run
    from layermix.lab.study import Study, StudyConfig, plan
    from layermix.lab.training.recipe import Recipe
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_module(error), name=error.name) from error

__all__ = ["DataConfig", "Recipe", "RunConfig", "Study", "StudyConfig", "compare", "plan", "run"]

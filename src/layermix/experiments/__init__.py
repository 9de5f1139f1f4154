"""Experiments: train one net, compare mix points over seeds, keep the records.

`compare` trains the runs of a `Study` that are missing, `run` trains one; data sets, models and the
training loop are in folders of their own. Nothing here reads the records for a report: that is
`layermix.reporting`, a floor above.
"""

from layermix.extras import missing_module

try:
    from layermix.experiments.compare import compare
    from layermix.experiments.data import DataConfig
    from layermix.experiments.run import RunConfig, run
    from layermix.experiments.study import Study, StudyConfig, plan
    from layermix.experiments.training.recipe import Recipe
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_module(error), name=error.name) from error

__all__ = ["DataConfig", "Recipe", "RunConfig", "Study", "StudyConfig", "compare", "plan", "run"]

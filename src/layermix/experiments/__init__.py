"""Experiments: train one model, compare mix points over seeds, keep the records.

`compare` trains the missing runs of a `Study`, whose configuration `plan` makes; `run` trains one.
Reports are made from the records by `layermix.reporting`, a floor above.
"""

from layermix.extras import missing_module

try:
    from layermix.experiments.data import DataConfig
    from layermix.experiments.run import run
    from layermix.experiments.store import RunConfig, RunResult
    from layermix.experiments.study import Study, StudyConfig, compare, plan
    from layermix.experiments.training import Recipe
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_module(error), name=error.name) from error

__all__ = ["DataConfig", "Recipe", "RunConfig", "RunResult", "Study", "StudyConfig"]
__all__ += ["compare", "plan", "run"]

"""Experiments: train one model, or compare mix points over several seeds, and save the records.

`configure` returns the checked configuration of a `Study`. `compare` trains its missing runs, and
`run` trains a single one. `layermix.reporting` creates reports from the saved records.
"""

from layermix.extras import missing_module

try:
    from layermix.experiments.comparison import compare, configure
    from layermix.experiments.data import DataConfig
    from layermix.experiments.run import run
    from layermix.experiments.store import RunConfig, RunResult
    from layermix.experiments.study import Study, StudyConfig
    from layermix.experiments.training import Recipe
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_module(error), name=error.name) from error

__all__ = ["DataConfig", "Recipe", "RunConfig", "RunResult", "Study", "StudyConfig"]
__all__ += ["compare", "configure", "run"]

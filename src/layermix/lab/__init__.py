"""The lab: data, models and training, one run or all runs of a study, and their records on disk.

`configure` returns the checked configuration of a `StudyFolder`. `train_study` trains its missing
runs, and `run` trains a single one. `layermix.reporting` creates reports from the saved records.
"""

from layermix.extras import missing_module

try:
    from layermix.lab.data import DataConfig
    from layermix.lab.run import run
    from layermix.lab.store import RunConfig, RunResult
    from layermix.lab.study import StudyFolder
    from layermix.lab.study_config import StudyConfig
    from layermix.lab.study_setup import configure, configure_own
    from layermix.lab.study_training import Execution, train_study
    from layermix.lab.training import Recipe
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_module(error), name=error.name) from error

__all__ = [
    "DataConfig",
    "Execution",
    "Recipe",
    "RunConfig",
    "RunResult",
    "StudyConfig",
    "StudyFolder",
]
__all__ += ["configure", "configure_own", "run", "train_study"]

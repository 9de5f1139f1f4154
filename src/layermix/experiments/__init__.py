"""Experiments: compare places to mix in an honest study, and look at its results.

`compare` trains all runs of a study with the built-in training or a function of your own, and
returns a `Study` with tables, figures and a report. Data, models and training are in
`layermix.lab`.
"""

from layermix.extras import missing_module

try:
    from layermix.experiments.comparison import compare, run_study
    from layermix.experiments.study_results import Study
    from layermix.lab import (
        DataConfig,
        Execution,
        Recipe,
        RunConfig,
        RunResult,
        StudyConfig,
        configure,
        run,
    )
    from layermix.lab.own_training import MixerFactory
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_module(error), name=error.name) from error

__all__ = ["DataConfig", "Execution", "MixerFactory", "Recipe", "RunConfig", "RunResult", "Study"]
__all__ += ["StudyConfig", "compare", "configure", "run", "run_study"]

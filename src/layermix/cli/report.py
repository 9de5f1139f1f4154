"""`layermix report`: create the report of a study from its folder."""

from pathlib import Path

from tyro.conf import Positional

from layermix.lab.display import open_console


def report(folder: Positional[Path], trust: bool = False) -> None:
    """layermix report runs/digits

    Create the report of a study, finished or not, from its folder. If the folder has a study for
    each level of a factor, such as --epochs 20 60, create all of their reports and that over the
    factor.

    Args:
        folder: Folder of the study.
        trust: Import the code of the study's own model, package.module:factory, for a
            picture of mixed images.
    """
    from layermix.lab.factors import open_factors
    from layermix.lab.study import StudyFolder
    from layermix.reporting.factor_report import show_factors
    from layermix.reporting.show import show_study

    console, found = open_console(), open_factors(folder, trust=trust)
    if found is None:
        show_study(StudyFolder.open(folder, trust=trust), console)
        return
    for _, study in found:
        if study.finished():
            show_study(study, console)
    show_factors(folder, console)

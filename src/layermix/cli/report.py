"""`layermix report`: create the report of a study from its folder."""

from pathlib import Path

from tyro.conf import Positional

from layermix.experiments.display import open_console


def report(folder: Positional[Path]) -> None:
    """layermix report runs/digits

    Create the report of a study, finished or not, from its folder.

    Args:
        folder: Folder of the study.
    """
    from layermix.experiments.study import Study
    from layermix.reporting.show import show_study

    show_study(Study.open(folder), open_console())

"""`layermix report`: create the report of a study from its folder."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from layermix.experiments.display import open_console


def report(
    folder: Positional[Path],
    more: Annotated[Positional[tuple[Path, ...]], arg(help_behavior_hint="")] = (),
) -> None:
    """layermix report runs/digits

    Create the report of a study, finished or not, from its folder. For several studies, also report
    if the geometry of layers predicts where to mix.

    Args:
        folder: Folder of the study.
        more: Folders of more studies.
    """
    from layermix.reporting.show import open_studies, show_several, show_study

    console, (first, *others) = open_console(), open_studies([folder, *more])
    if others:
        show_several([first, *others], console)
    else:
        show_study(first, console)

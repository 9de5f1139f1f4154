"""`layermix report`: build the report of a study anew from its folder."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from layermix.experiments.console import open_console
from layermix.reporting.show import open_studies, show_several, show_study


def report(
    folder: Positional[Path],
    more: Annotated[Positional[tuple[Path, ...]], arg(help_behavior_hint="")] = (),
) -> None:
    """layermix report runs/digits

    Build the report of a study anew from its folder, also of one that is not finished. Of several
    studies, also say whether the geometry of layers predicts over all of them where to mix.

    Args:
        folder: Folder of the study.
        more: Folders of further studies.
    """
    console, (first, *others) = open_console(), open_studies([folder, *more])
    if others:
        show_several([first, *others], console)
    else:
        show_study(first, console)

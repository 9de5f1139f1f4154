"""`layermix meta`: ask over studies if geometry predicts where to mix."""

import os
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from layermix.errors import InputError
from layermix.lab.display import open_console


def meta_analysis(
    folders: Annotated[Positional[tuple[Path, ...]], arg(help_behavior_hint="")] = (),
    out: Path = Path("runs/meta"),
    measure: str = "snnl",
    size: int = 256,
    norm_stats: Literal["clean", "as trained"] = "clean",
    pairs: int = 24,
) -> None:
    """layermix meta runs/digits runs/other --out runs/meta

    Ask over several studies if a measure of layers predicts where mixing gains most. The question
    is written to meta-plan.json before the studies are read, and cannot be changed afterwards.
    Without studies, only the plan is written.

    Args:
        folders: Folders of studies, each with the variant none and three mix points or more.
        out: Folder of the plan and the result.
        measure: The measure, by a name that `layermix profile` lists.
        size: Number of examples on which it is measured.
        norm_stats: Norm statistics of the gains in accuracy.
        pairs: Planned number of pairs of data and model.
    """
    from layermix.lab.study import StudyFolder
    from layermix.reporting.meta_study import MetaPlan, hold_to_plan, run_meta
    from layermix.reporting.write_meta import show_meta

    paths = [os.path.realpath(folder) for folder in folders]
    for folder, path in zip(folders, paths, strict=True):
        if paths.count(path) > 1:
            raise InputError(f"the study in {folder} is named twice: name each folder once")
    studies = [StudyFolder.open(folder) for folder in folders]
    plan = hold_to_plan(MetaPlan(measure, size, norm_stats, pairs), out)
    show_meta(run_meta(studies, plan), out, open_console())

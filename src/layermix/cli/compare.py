"""`layermix compare`: train a model for each variant and each seed, and report the results."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import arg

from layermix import experiments as ex
from layermix.cli.train import PresetChoice
from layermix.experiments import DataConfig, Study, StudyConfig
from layermix.experiments.comparison import plan_warnings
from layermix.experiments.display import open_console, print_text, show_status
from layermix.experiments.training.recipe import PLAIN
from layermix.extras import require

# Libraries of the report. They are imported only after the last run.
_REPORT = ("jinja2", "markupsafe", "matplotlib", "scipy", "sklearn", "threadpoolctl")


def compare_variants(
    data: DataConfig = DataConfig(),
    preset: PresetChoice = PLAIN,
    variants: Annotated[tuple[str, ...], arg(help_behavior_hint="")] = (),
    seeds: int = 10,
    looks: Annotated[tuple[int, ...], arg(help_behavior_hint="")] = (),
    margin: float = 0.5,
    plan: float | None = None,
    out: Path | None = None,
    workers: int | None = None,
    threads: int = 1,
) -> None:
    """layermix compare --data digits --out runs/digits

    Train a model for each mix point and each seed, and report which mix point is best.

    Args:
        data: The images to train on.
        preset: Model and recipe; further flags override them.
        variants: Where to mix: none, random, auto, input, final, logits or module paths; or a
            method such as cutmix or mixup@final:alpha=2 (see `layermix methods`); or several
            methods, of which each step uses one, such as mixup+cutmix. Default: none, input, each
            block, final, random and auto.
        seeds: Number of seeds, the same for every variant; a verdict needs 6 or more.
        looks: Numbers of seeds at which results are read, such as 10 20 30, instead of --seeds. The
            study stops at a look with a verdict. Their levels keep 5% errors of all looks together.
        margin: Accuracies that differ by less, in points, are practically equal.
        plan: Train nothing; print how many seeds a difference of so many points needs, from the
            finished runs of the study in the output folder.
        out: Folder of the study; an interrupted study continues there, and seeds and variants may
            be added. Default: runs/DATA.
        workers: Number of parallel runs. Default: one for each core, or one on a GPU.
        threads: CPU threads of each run.
    """
    require(*_REPORT)
    console = open_console()
    if plan is not None:
        from layermix.reporting.plan import show_plan

        return show_plan(Study.open(out or Path("runs") / data.short), plan, console)
    try:
        with show_status(console, f"Loading {data.data}"):
            config = ex.configure(
                data,
                preset.model,
                preset.recipe,
                variants,
                seeds=seeds,
                threads=threads,
                margin=margin,
                looks=looks,
            )
        _train(config, out or Path("runs") / data.short, workers, console)
    except KeyboardInterrupt:
        message = "stopped. Finished runs are kept; repeat the command to continue"
        raise KeyboardInterrupt(message) from None


def _train(config: StudyConfig, folder: Path, workers: int | None, console: Console) -> None:
    """Train the study and show its report; with planned looks, up to the first verdict."""
    for warning in plan_warnings(config):
        print_text(console, f"Warning: {warning}", fold=True)
    for seeds in config.looks or (len(config.seeds),):
        config = replace(config, seeds=tuple(range(seeds)))
        study = ex.compare(config, folder, workers=workers, console=console)
        from layermix.reporting.show import show_study

        if show_study(study, console).is_decided:
            break

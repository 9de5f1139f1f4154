"""`layermix compare`: train a model for each variant and each seed, and report the results."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from layermix import experiments as ex
from layermix.cli.train import PresetChoice
from layermix.experiments import DataConfig
from layermix.experiments.display import open_console, show_status
from layermix.experiments.training.recipe import PLAIN
from layermix.extras import require

# Libraries of the report. They are imported only after the last run.
_REPORT = ("jinja2", "markupsafe", "matplotlib", "scipy", "sklearn", "threadpoolctl")


def compare_variants(
    data: DataConfig = DataConfig(),
    preset: PresetChoice = PLAIN,
    variants: Annotated[tuple[str, ...], arg(help_behavior_hint="")] = (),
    seeds: int = 10,
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
        seeds: Number of seeds, the same for every variant.
        out: Folder of the study; an interrupted study continues there. Default: runs/DATA.
        workers: Number of parallel runs. Default: one for each core, or one on a GPU.
        threads: CPU threads of each run.
    """
    require(*_REPORT)
    console = open_console()
    try:
        with show_status(console, f"Loading {data.data}"):
            config = ex.configure(
                data, preset.model, preset.recipe, variants, seeds=seeds, threads=threads
            )
        folder = out or Path("runs") / data.short
        study = ex.compare(config, folder, workers=workers, console=console)
        from layermix.reporting.show import show_study

        show_study(study, console)
    except KeyboardInterrupt:
        message = "stopped. Finished runs are kept; repeat the command to continue"
        raise KeyboardInterrupt(message) from None

"""`layermix compare`: train a net for each place to mix and each seed, and report."""

from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, arg

from layermix import experiments as ex
from layermix.experiments import DataConfig, Recipe
from layermix.experiments.console import doing, open_console
from layermix.experiments.presets import DEFAULT_PRESET, PLAIN, PresetName
from layermix.reporting.show import show_study


def compare(
    data: Annotated[DataConfig, OmitArgPrefixes] = DataConfig(),
    recipe: Annotated[Recipe, OmitArgPrefixes] = PLAIN.recipe,
    net: str = PLAIN.net,
    preset: PresetName = DEFAULT_PRESET,
    variants: Annotated[tuple[str, ...], arg(help_behavior_hint="")] = (),
    seeds: int = 8,
    out: Path | None = None,
    workers: int | None = None,
    threads: int = 1,
) -> None:
    """layermix compare --data digits --out runs/digits

    Train a net once for each place to mix and each seed, and report which place did best.

    Args:
        data: Which images to train on.
        recipe: How to train.
        net: resnet-small, resnet18, preactresnet18, speed, mlp, timm:NAME, package.module:factory.
        preset: Net and recipe to start from, which further flags change: plain, or speed, after the
            CIFAR-10 speed records. `--preset speed --help` shows its settings.
        variants: Where to mix: none, random, auto, input, final, logits or module paths; or how,
            as cutmix, mixup@final:alpha=2 (see `layermix methods`). When left out none, input, each
            block, final, random and auto.
        seeds: Number of seeds, the same for every variant.
        out: Folder of the study; an interrupted study continues there. When left out, runs/DATA.
        workers: Runs side by side; when left out one for each core, one on a GPU.
        threads: CPU threads of each run.
    """
    console = open_console()
    with doing(console, f"Loading {data.data}"):
        config = ex.plan(data, net, recipe, variants, seeds, threads)
    study = ex.compare(config, out or Path("runs") / data.short, workers, console)
    show_study(study, console)

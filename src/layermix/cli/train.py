"""`layermix train`: train one net once."""

from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes

from layermix import experiments as ex
from layermix.experiments import DataConfig, Recipe, RunConfig
from layermix.experiments.console import doing, open_console, tell
from layermix.experiments.presets import DEFAULT_PRESET, PLAIN, PresetName
from layermix.experiments.progress import RunView, sizes_text
from layermix.experiments.run import load_once
from layermix.reporting.show import show_run


def train(
    data: Annotated[DataConfig, OmitArgPrefixes] = DataConfig(),
    recipe: Annotated[Recipe, OmitArgPrefixes] = PLAIN.recipe,
    net: str = PLAIN.net,
    preset: PresetName = DEFAULT_PRESET,
    variant: str = "final",
    seed: int = 0,
    out: Path | None = None,
    threads: int | None = None,
) -> None:
    """layermix train --data digits --variant final --out runs/one

    Train one net once and leave its records, measures and weights.

    Args:
        data: Which images to train on.
        recipe: How to train.
        net: resnet-small, resnet18, preactresnet18, speed, mlp, timm:NAME, package.module:factory.
        preset: Net and recipe to start from, which further flags change: plain, or speed, after the
            CIFAR-10 speed records. `--preset speed --help` shows its settings.
        variant: Where to mix: none, random, auto, input, final, logits or a module path; or how, as
            cutmix or mixup@final:alpha=2 (see `layermix methods`).
        seed: Seed of the run.
        out: Folder of the run, a new one. When left out, runs/DATA-VARIANT-seedSEED.
        threads: CPU threads; torch's own choice when left out.
    """
    console = open_console()
    config = RunConfig(data, net, recipe, variant, seed)
    with doing(console, f"Loading {data.data}"):
        loaded = load_once(data)
    tell(console, f"{sizes_text(loaded)}; epochs: {recipe.epochs:,}.")
    folder = out or Path("runs") / f"{data.short}-{config.name}"
    try:
        with RunView(console, recipe.epochs) as view:
            result = ex.run(config, folder, view, threads=threads)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped. What was recorded is in {folder}-unfinished; the same command starts anew"
        ) from None
    show_run(result, folder, console)

"""`layermix train`: train one model."""

import os
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import subcommand

from layermix.lab import DataConfig, RunConfig, RunResult, display, run
from layermix.lab.run_setup import load_once
from layermix.lab.stop import stopped_as
from layermix.lab.training.ranks import is_launched
from layermix.lab.training.recipe import PLAIN, SPEED, STANDARD, Preset

PresetChoice = (
    Annotated[Preset, subcommand("plain", default=PLAIN, description="resnet-small (the default)")]
    | Annotated[Preset, subcommand("speed", default=SPEED, description="a fast model and recipe")]
    | Annotated[Preset, subcommand("standard", default=STANDARD, description="ResNet-18")]
)


def train(
    data: DataConfig = DataConfig(),
    preset: PresetChoice = PLAIN,
    variant: str = "final",
    seed: int = 0,
    out: Path | None = None,
    threads: int | None = None,
    checkpoint_every: float = 300.0,
) -> None:
    """layermix train --data digits --variant final --out runs/one

    Train one model, and write its records, metrics and weights. On several GPUs or processes:
    torchrun --nproc-per-node 8 -m layermix train --data ... divides each batch among them.

    Args:
        data: The data to train on.
        preset: Model and recipe; further flags override them.
        variant: Where to mix: none, random, auto, input, final, logits or a module path; or a
            method such as cutmix or mixup@final:alpha=2 (see `layermix methods`); or several
            methods, of which each step uses one, such as mixup+cutmix.
        seed: Seed of the run.
        out: Folder of the run, which must not exist. Default: runs/DATA-VARIANT-seedSEED.
        threads: Number of CPU threads; torch's default if not given.
        checkpoint_every: Seconds between two checkpoints, from which the run continues if it was
            interrupted and the command is repeated.
    """
    console = display.open_console()
    console.quiet = is_launched() and os.environ["RANK"] != "0"  # the first process shows the run
    config = RunConfig(data, preset.model, preset.recipe, variant, seed)
    config.check()
    with display.show_status(console, f"Loading {data.data}"):
        loaded = load_once(data, seed)
    display.print_text(
        console, f"{display.sizes_text(loaded)}; epochs: {preset.recipe.epochs:,}.", fold=True
    )
    folder = out or Path("runs") / f"{data.short}-{config.name}"
    try:
        with display.run_display(console, preset.recipe.epochs) as show:
            result = run(config, folder, show, threads=threads, checkpoint_every=checkpoint_every)
    except KeyboardInterrupt as stop:
        raise stopped_as(
            stop,
            f"The records are in {folder}-unfinished; repeat the command to continue from the last "
            "checkpoint",
        ) from None
    _show_result(result, folder, console)


def _show_result(result: RunResult, folder: Path, console: Console) -> None:
    test, timings = result.test, result.timings
    display.print_text(
        console,
        f"Test accuracy {test['accuracy']:.2%}, negative log-likelihood {test['nll']:.4f}, "
        f"Brier score {test['brier']:.4f}, calibration error {test['ece']:.4f}; "
        f"{timings['seconds']:.1f} s of training at "
        f"{timings['examples_per_second']:,.0f} examples per second.",
    )
    if result.clean:
        display.print_text(
            console,
            "With norm statistics of unmixed images: test accuracy "
            f"{result.clean['test']['accuracy']:.2%}.",
        )
    if views := result.test_views:
        display.print_text(
            console, f"Over views of each image: test accuracy {views['accuracy']:.2%}."
        )
    display.print_text(console, f"Run: {folder}")

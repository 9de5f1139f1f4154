"""The command line: typed functions become subcommands, docstrings become help (tyro)."""

import sys
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from tyro.conf import OmitArgPrefixes, Positional

from layermix import lab
from layermix.errors import InputError, LayermixError, unknown
from layermix.lab import DataConfig, Recipe
from layermix.lab.command import DEFAULT_NET

app = tyro.extras.SubcommandApp()

Flags = OmitArgPrefixes


@app.command
def compare(
    data: Annotated[DataConfig, Flags] = DataConfig(),
    recipe: Annotated[Recipe, Flags] = Recipe(),
    net: str = DEFAULT_NET,
    variants: tuple[str, ...] = (),
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
        net: resnet-small, resnet18, preactresnet18, mlp, timm:NAME or package.module:factory.
        variants: Where to mix: none, random, input, final, logits or module paths; when left out
            none, input, each block, final and random.
        seeds: Number of seeds, the same for every variant.
        out: Folder of the study; an interrupted study continues there. When left out, runs/DATA.
        workers: Runs side by side; when left out one for each core, one on a GPU.
        threads: CPU threads of each run.
    """
    console = Console()
    config = lab.plan(data, net, recipe, variants, seeds, threads)
    folder = out or Path("runs") / Path(data.data).name
    study = lab.compare(config, folder, workers, console)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit code 2 for usage, 1 for failure."""
    app.cli(prog="layermix", args=arguments)

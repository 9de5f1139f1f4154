"""The command line: typed functions become subcommands, docstrings become help (tyro)."""

import sys
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import DisallowNone, OmitArgPrefixes, Positional, arg

import layermix
from layermix import lab
from layermix.lab import DataConfig, Recipe, RunConfig
from layermix.lab.bench import BenchName, Setting, run_bench, show_bench
from layermix.lab.console import doing, open_console, replace_unknown_characters, say, tell
from layermix.lab.exits import exit_codes
from layermix.lab.method_table import show_drawn, show_methods
from layermix.lab.nets import points_of
from layermix.lab.presets import DEFAULT_PRESET, PRESETS, PresetName, preset_in, starting_from
from layermix.lab.profiling import (
    ProfileConfig,
    check_ending,
    save_profile,
    show_profile,
    take_profile,
)
from layermix.lab.progress import RunView, sizes_text
from layermix.lab.report.show import open_studies, show_run, show_several, show_study
from layermix.lab.run import load_once
from layermix.lab.survey import check_models

app = tyro.extras.SubcommandApp()
_PLAIN = PRESETS[DEFAULT_PRESET]
_Setting = Annotated[Setting, OmitArgPrefixes]

_DESCRIPTION = """layermix compare --data digits --out runs/digits

Mixup at any layer of any PyTorch model, and a study of which layer to mix. With --debug an error
shows its traceback; --version alone prints the version."""


@app.command
def compare(
    data: Annotated[DataConfig, OmitArgPrefixes] = DataConfig(),
    recipe: Annotated[Recipe, OmitArgPrefixes] = _PLAIN.recipe,
    net: str = _PLAIN.net,
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
        config = lab.plan(data, net, recipe, variants, seeds, threads)
    study = lab.compare(config, out or Path("runs") / data.short, workers, console)
    show_study(study, console)


@app.command
def train(
    data: Annotated[DataConfig, OmitArgPrefixes] = DataConfig(),
    recipe: Annotated[Recipe, OmitArgPrefixes] = _PLAIN.recipe,
    net: str = _PLAIN.net,
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
            result = lab.run(config, folder, view, threads=threads)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped. What was recorded is in {folder}-unfinished; the same command starts anew"
        ) from None
    show_run(result, folder, console)


@app.command
def points(
    net: str = _PLAIN.net,
    image_size: int = 32,
    channels: int = 3,
    classes: int = 10,
    all: bool = False,
    check: Annotated[tuple[str, ...] | None, arg(help_behavior_hint="")] = None,
    out: Path | None = None,
) -> None:
    """layermix points --net resnet18

    List the mix points of a net, the names that --variant and --variants take; or --check models.

    Args:
        net: resnet-small, resnet18, preactresnet18, speed, mlp, timm:NAME, package.module:factory.
        image_size: Height and width of the images in pixels.
        channels: Channels of the images.
        classes: Number of classes.
        all: Every module, those too that cannot be mixed, with the reason. Otherwise of the
            modules only the repeated blocks or stages of two layers or more.
        check: Instead, try whether models can be mixed at the final layer and after every block:
            those of libraries (timm, torchvision, transformers), or single ones (timm:resnet18).
        out: With --check, also a table NAME.csv; one that was begun is continued.
    """
    if check is not None:
        check_models(check, out, open_console())
        return
    say(open_console(), str(points_of(net, image_size, channels, classes, all=all)))


@app.command
def methods(draw: Path | None = None) -> None:
    """layermix methods

    List the methods of the literature with their parts: names that --variant and --variants take,
    as NAME, NAME@POINT or NAME@POINT:KEY=VALUE.

    Args:
        draw: Instead, draw what each blend does into this folder, as NAME.svg.
    """
    if draw:
        show_drawn(draw, open_console())
    else:
        show_methods(open_console())


@app.command
def profile(
    what: Annotated[ProfileConfig, OmitArgPrefixes] = ProfileConfig(), out: Path | None = None
) -> None:
    """layermix profile --net timm:resnet18 --weights W.safetensors --data FOLDER

    Measure at every layer how entangled the classes are and what a mix does there.

    Args:
        what: What to profile.
        out: Also write it there, as NAME.json, NAME.csv or a picture NAME.svg, .png or .pdf.
    """
    if out:
        check_ending(out)
    console = open_console()
    found = take_profile(what)
    show_profile(found, console)
    if out:
        save_profile(found, out)
        say(console, f"Profile: {out}")


@app.command
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


@app.command
def bench(
    what: Positional[BenchName], setting: _Setting = Setting(), out: Path | None = None
) -> None:
    """layermix bench mix

    Measure speed and memory, each as a ratio to a floor and to peers in the same run.

    mix: the linear mix over a copy, and other libraries. step: a mixed training step over a plain
    one. train: our loop and others (half an hour). study: a study over its runs as commands (a
    quarter). speed: where the time of the speed recipe goes (a quarter). snnl: the loss over a
    matrix product. geometry: what measuring layers costs. blends: each over a copy and the linear.

    Args:
        what: What to measure.
        setting: Where and how often.
        out: Also write the table there, as NAME.json or NAME.csv.
    """
    console = open_console()
    with doing(console, "Measuring"):
        found = run_bench(what, setting, out)
    show_bench(found, console)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; see `layermix.lab.exits` for its exit codes."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--version"]:
        return print(f"layermix {layermix.__version__}")
    replace_unknown_characters()
    sys.path.append(str(Path.cwd()))  # where a net of one's own, module:factory, may lie
    with exit_codes(words):
        start = preset_in(words)
        for command in (compare, train):
            app.command(starting_from(start, command))
        app.cli(
            prog="layermix",
            description=_DESCRIPTION,
            args=[word for word in words if word != "--debug"],
            config=(DisallowNone,),
        )
        sys.stdout.flush()
    return None

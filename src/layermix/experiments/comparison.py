"""Compare places to mix: `compare` for Python, and the study that the command line runs too."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from layermix.errors import InputError, brief
from layermix.experiments.study_results import Study
from layermix.lab import (
    DataConfig,
    Execution,
    Recipe,
    StudyConfig,
    configure,
    configure_own,
    train_study,
)
from layermix.lab.data import Source, read_source, write_source
from layermix.lab.data.config import OWN_DATA
from layermix.lab.data.dataset import Labels
from layermix.lab.display import open_console, print_text
from layermix.lab.models import Factory
from layermix.lab.own_training import TrainFunction, function_name
from layermix.lab.tuning import tune as tune_variants
from layermix.mixing.checks import is_whole
from layermix.reporting.seed_plan import plan_warnings
from layermix.reporting.show import show_study

Data = str | Path | DataConfig | Source | Mapping[str, tuple[Any, Labels]]
"""Data of a study: a source by name, its settings, or tensors (inputs, labels) by split."""


def compare(
    train: TrainFunction | None = None,
    variants: Sequence[str] = (),
    seeds: int = 10,
    *,
    data: Data = "digits",
    model: str | Factory = "auto",
    recipe: Recipe | None = None,
    out: Path | str | None = None,
    margin: float = 0.5,
    looks: Sequence[int] = (),
    tune: Sequence[str] = (),
    workers: int | Literal["auto"] | None = None,
    execution: Execution | None = None,
    progress: bool = True,
) -> Study:
    """Train a model for each variant and each seed, write the report, and return the study.

    A study continues in its folder: runs that are finished there are not repeated.

    Parameters
    ----------
    train
        A function ``train(variant, seed, data, mixer_factory)``, which trains in its own way and
        returns the logits (N, K) or metrics of validation and test data, as a mapping with the
        entries ``"val"`` and ``"test"``. Metrics that the report does not know are in the
        `results` of the study. ``data`` has the splits ``train``, ``val`` and ``test`` of
        this seed, each with ``inputs`` and ``labels``; ``mixer_factory(model)`` returns the
        `layermix.Mixer` of the variant. Default: the training of the command line.
    variants
        Where to mix, as on the command line: none, random, auto, input, final, logits or a module
        path, or a method. Default: none, input, each block, final, random and auto. With `train`,
        auto is not available, and the default is none, input (embedding for texts) and final.
    seeds
        Number of seeds, the same for every variant. Each seed has a split of its own.
    data
        A source as on the command line, a `DataConfig`, or tensors by split, such as
        ``{"train": (inputs, labels), "test": (inputs, labels)}``.
    model
        Name of a model, or a function that returns one. It is called with those of the arguments
        ``num_classes``, ``in_channels``, ``image_size``, ``in_features``, ``vocab_size``,
        ``max_length`` and ``pad_token_id`` that it accepts and the data have.
    recipe
        Settings of the built-in training. Default: ``Recipe()``.
    out
        Folder of the study. Default: ``runs/DATA``.
    margin, looks, tune
        As on the command line: accuracies within ± `margin` points are practically equal; the
        numbers of seeds at which results are read; settings to tune, such as ``"alpha=1,2"``.
    workers
        Number of parallel runs, or ``"auto"``, which finds it by a trial of a few seconds. Default:
        one for each core, ``"auto"`` on a GPU, and one with `train`.
    execution
        Further settings of the execution, such as ``Execution(weights="first")``.
    progress
        If True, print the progress, the verdict and a table.

    Raises
    ------
    InputError
        If a setting is invalid, or the folder belongs to another study.
    RunError
        If runs failed. Finished runs remain on disk.
    """
    if isinstance(variants, str):
        raise InputError(f"variants is {variants!r}, but must be a list, such as [{variants!r}]")
    if not is_whole(seeds):
        raise InputError(f"seeds is {brief(seeds)}, but must be their number, such as 10")
    console = open_console() if progress else Console(quiet=True)
    source = _data_config(data, out)
    folder = Path(out) if out else Path("runs") / source.short
    settings: Any = {"seeds": seeds, "margin": margin, "looks": tuple(looks)}
    execution = execution or Execution()
    if workers is not None:
        execution = replace(execution, workers=workers)
    if train:
        if recipe or tune or model != "auto":
            raise InputError(
                "model, recipe and tune belong to the built-in training: leave out train"
            )
        config = configure_own(source, train, tuple(variants), **settings)
        return run_study(config, folder, execution, console=console, train=train)
    factory = None if isinstance(model, str) else model
    name = model if isinstance(model, str) else function_name(model)
    settings |= {"factory": factory}
    config = configure(source, name, recipe or Recipe(), tuple(variants), **settings)
    return run_study(config, folder, execution, tune=tuple(tune), console=console, factory=factory)


def run_study(
    config: StudyConfig,
    folder: Path,
    execution: Execution = Execution(),
    *,
    tune: tuple[str, ...] = (),
    console: Console | None = None,
    train: TrainFunction | None = None,
    factory: Factory | None = None,
) -> Study:
    """Tune and train a study, show its report, and return it; stop at a look with a verdict."""
    console = console or Console(quiet=True)
    for warning in plan_warnings(config):
        print_text(console, f"Warning: {warning}", fold=True)
    if tune:
        config = tune_variants(config, tune, folder, execution, console=console)
    options: Any = {"console": console, "train": train, "factory": factory}
    for seeds in config.looks or (len(config.seeds),):
        config = replace(config, seeds=tuple(range(seeds)))
        study = train_study(config, folder, execution, **options)
        config = study.config
        if show_study(study, console).is_decided:
            break
    return Study(config, folder)


def _data_config(data: Data, out: Path | str | None) -> DataConfig:
    """Return the settings of the data; write tensors to a file in the folder of the study."""
    if isinstance(data, DataConfig):
        return data
    if isinstance(data, str | Path):
        return DataConfig(str(data))
    if not isinstance(data, Source | Mapping):
        raise InputError(
            f"data is {brief(data)}, but must be a source, a DataConfig, or a mapping of splits to "
            "pairs (inputs, labels)"
        )
    if out is None:
        raise InputError("data are tensors, which are written to the study's folder: pass out")
    source = data if isinstance(data, Source) else Source.of(data)
    path = Path(out) / OWN_DATA
    if not (path.exists() and (Path(out) / "study.json").exists()):
        write_source(source, path)
    elif {n: s.digest for n, s in read_source(path).splits.items()} != {
        name: split.digest for name, split in source.splits.items()
    }:
        raise InputError(f"{path} has other data: use another out")
    return DataConfig(str(path))

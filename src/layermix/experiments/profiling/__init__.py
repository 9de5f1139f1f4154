"""Profile a net from the command line: the net, its weights, held-out data, and the profile."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from layermix.errors import InputError
from layermix.experiments.console import say, stacked
from layermix.experiments.data import SOURCES, DataConfig
from layermix.experiments.data.hub import holds_images
from layermix.experiments.profiling.config import ProfileConfig, Subject, refuse
from layermix.experiments.profiling.pictures import of_pictures, of_run
from layermix.experiments.profiling.texts import of_texts
from layermix.experiments.training.recipe import pick_device
from layermix.geometry import Profile, profile
from layermix.geometry.profile_rendering import legend

__all__ = ["ProfileConfig", "check_ending", "save_profile", "show_profile", "take_profile"]

_ENDINGS = (".json", ".csv", ".svg", ".png", ".pdf")


def take_profile(config: ProfileConfig) -> Profile:
    """Build the net, load weights and data, and take the profile.

    Raises
    ------
    InputError
        For a net, weights, data or points that cannot be had, or weights of another net.
    """
    device = pick_device(config.device)
    subject = _subject(config)
    found = profile(
        subject.model.to(device),
        subject.data,
        list(config.points) or None,
        quantities=config.quantities or None,
        pool=config.pool,
        max_examples=config.examples,
        gap_examples=config.mixed,
        seed=config.seed,
    )
    return replace(found, notices=(*subject.notices, *found.notices))


def check_ending(path: Path) -> None:
    """Refuse a file that `save_profile` could not write, before anything is measured."""
    if path.suffix.lower() not in _ENDINGS:
        raise InputError(f"cannot write {path}: end it with .json, .csv, .svg, .png or .pdf")


def show_profile(found: Profile, console: Console) -> None:
    """Show a profile on a terminal, in blocks no wider than it, with a legend."""
    table, _, rest = str(found).partition("\n\n")
    say(console, stacked(table, console.width) if console.is_terminal else table)
    say(console, f"\n{rest}\n\n{legend(found)}")


def save_profile(found: Profile, path: Path) -> None:
    """Write a profile as its ending says: .json, .csv, or a picture (.svg, .png, .pdf)."""
    check_ending(path)
    ending = path.suffix.lower()
    path.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".json":
        found.to_json(path)
    elif ending == ".csv":
        found.to_csv(path)
    else:
        found.plot(path)


def _subject(config: ProfileConfig) -> Subject:
    if config.run:
        return of_run(config, config.run)
    images = config.data in SOURCES or config.image_column or config.image_size
    if not images and (config.text_column or not holds_images(config.data)):
        return of_texts(config)
    why = f"{config.data} is read as images, which have no {{name}}"
    refuse(config, ("text_column", "tokenizer"), why)
    source = DataConfig(
        config.data,
        image_size=config.image_size,
        image_column=config.image_column,
        label_column=config.label_column,
    )
    return of_pictures(config, source)

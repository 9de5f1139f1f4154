"""`layermix profile`: measure every layer of a net."""

from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes

from layermix.experiments.console import open_console, say
from layermix.experiments.profiling import (
    ProfileConfig,
    check_ending,
    save_profile,
    show_profile,
    take_profile,
)


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

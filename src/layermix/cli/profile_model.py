"""`layermix profile`: measure every layer of a model."""

import re
from pathlib import Path

from layermix.geometry.profile_rendering import legend
from layermix.lab.display import open_console, print_text
from layermix.lab.profile_config import ProfileConfig
from layermix.lab.profiling import check_suffix, save_profile, take_profile


def profile_model(config: ProfileConfig = ProfileConfig(), out: Path | None = None) -> None:
    """layermix profile --model timm:resnet18 --weights W.safetensors --data FOLDER

    Measure how entangled the classes are at every layer, and if it is safe to mix there.

    Args:
        config: The model, the data and the quantities.
        out: Also write the profile to NAME.json, NAME.csv, or a figure (.svg, .png or .pdf).
    """
    if out:
        check_suffix(out)
    console = open_console()
    try:
        taken = take_profile(config)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped. An unfinished profile is not kept") from None
    table, _, rest = str(taken).partition("\n\n")
    print_text(console, split_table(table, console.width) if console.is_terminal else table)
    print_text(console, f"\n{rest}\n\n{legend(taken)}")
    if out:
        save_profile(taken, out)
        print_text(console, f"Profile: {out}")


def split_table(table: str, width: int) -> str:
    """Split a text table into blocks of at most `width` characters, each with the first column.

    Cells must be separated by two or more spaces.
    """
    import pandas as pd  # comes with datasets

    rows = [re.split("   *", line.strip()) for line in table.splitlines()]
    names, *columns = zip(*rows, strict=True)
    frame = pd.DataFrame({column[0]: column[1:] for column in columns}, names[1:])
    frame.columns.name = names[0]
    return frame.to_string(line_width=width, col_space=[1 + max(map(len, c)) for c in columns])

"""`layermix profile`: measure every layer of a model."""

import re
from itertools import pairwise
from pathlib import Path

from layermix.experiments.display import open_console, print_text
from layermix.experiments.profiling import ProfileConfig, check_suffix, save_profile, take_profile
from layermix.geometry.profile_rendering import legend

_GAP = "  "  # between the columns of a table, and nowhere inside one


def profile_model(config: ProfileConfig = ProfileConfig(), out: Path | None = None) -> None:
    """layermix profile --model timm:resnet18 --weights W.safetensors --data FOLDER

    Measure at every layer how entangled the classes are, and if it is safe to mix there.

    Args:
        config: The model, the data and the measures.
        out: Also write the profile, as NAME.json, NAME.csv or a picture NAME.svg, .png or .pdf.
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
    """Split a text table into blocks of columns, none wider than `width`, each with the first one.

    A table that fits is returned as it is. A column that is too wide has a block of its own. Cells
    are two or more blanks apart, left-justified in the first column, right-justified in the others.
    """
    rows = [re.split(f"{_GAP} *", line.strip()) for line in table.splitlines()]
    first, *others = zip(*rows, strict=True)
    blocks = [table.splitlines()]
    for count in range(2, len(others) + 1):
        if max(len(line) for block in blocks for line in block) <= width:
            break
        ends = [round(k * len(others) / count) for k in range(count + 1)]
        blocks = [_justified([first, *others[a:b]]) for a, b in pairwise(ends)]
    return "\n\n".join("\n".join(block) for block in blocks)


def _justified(columns: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in columns]
    return [
        _GAP.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in zip(*columns, strict=True)
    ]

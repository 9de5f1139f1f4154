"""The program `layermix`: one subcommand for each file of this folder, by tyro."""

import sys
from pathlib import Path

import tyro
from tyro.conf import DisallowNone

import layermix
from layermix.cli.compare import compare
from layermix.cli.exit_codes import exit_codes
from layermix.cli.methods import methods
from layermix.cli.points import points
from layermix.cli.profile import profile
from layermix.cli.report import report
from layermix.cli.train import train
from layermix.experiments.console import replace_unknown_characters
from layermix.experiments.presets import preset_in, starting_from

app = tyro.extras.SubcommandApp()
for command in (compare, train, points, methods, profile, report):
    app.command(command)

_DESCRIPTION = """layermix compare --data digits --out runs/digits

Mixup at any layer of any PyTorch model, and a study of which layer to mix. With --debug an error
shows its traceback; --version alone prints the version."""
_STOPPED = {
    "compare": "stopped. What was finished is kept: the same command continues",
    "profile": "stopped. A profile keeps nothing of what was begun",
}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; see `layermix.cli.exit_codes` for its exit codes."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--version"]:
        return print(f"layermix {layermix.__version__}")
    replace_unknown_characters()
    sys.path.append(str(Path.cwd()))  # where a net of one's own, module:factory, may lie
    called = next((word for word in words if not word.startswith("-")), "")
    with exit_codes(_STOPPED.get(called, "stopped"), debug="--debug" in words):
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

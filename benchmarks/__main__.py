"""Command line of the benchmarks: one subcommand for each benchmark, and the survey of models."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import DisallowNone, OmitArgPrefixes, Positional

from benchmarks.bench import BENCHES, run_bench, show_bench
from benchmarks.engines import engines
from benchmarks.large_study import large_study
from benchmarks.many_workers import many_workers
from benchmarks.setting import Setting
from benchmarks.survey import check_models
from layermix.cli.program import exit_codes
from layermix.lab.display import open_console, show_status

app = tyro.extras.SubcommandApp()


def command(name: str) -> Callable[..., None]:
    """Return the subcommand of a benchmark; its help is the docstring of the benchmark's file."""

    def bench(
        setting: Annotated[Setting, OmitArgPrefixes] = Setting(),
        out: Path | None = None,
    ) -> None:
        console = open_console()
        with show_status(console, "Measuring"):
            found = run_bench(name, setting, out)
        show_bench(found, console)

    bench.__doc__ = f"""{sys.modules[BENCHES[name].__module__].__doc__}

    Args:
        setting: Device, number of repetitions and size.
        out: Also write the table to NAME.json or NAME.csv.
    """
    return bench


def survey(what: Positional[tuple[str, ...]], out: Path | None = None) -> None:
    """python -m benchmarks survey timm --out benchmarks/models.csv

    Test if models can be mixed at the final layer and after every block.

    Args:
        what: Libraries (timm, torchvision, transformers), or single models (timm:resnet18).
        out: Also write the table to NAME.csv; an incomplete table is continued.
    """
    check_models(what, out, open_console())


for name in BENCHES:
    app.command(name=name)(command(name))
app.command(survey)
app.command(large_study)
app.command(engines)
app.command(many_workers)


def main(arguments: list[str] | None = None) -> None:
    """Run a benchmark or the survey; the exit codes are those of the `layermix` command."""
    words = sys.argv[1:] if arguments is None else arguments
    with exit_codes("stopped. Repeat the command to check only the models missing from --out"):
        app.cli(
            prog="python -m benchmarks", description=__doc__, args=words, config=(DisallowNone,)
        )


if __name__ == "__main__":
    main()

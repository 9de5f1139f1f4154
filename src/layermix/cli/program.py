"""The program `layermix`: its subcommands, parsed by tyro, and its exit codes.

Exit codes: 2 for invalid input, 1 for other errors, and 128 plus the signal number, as in a shell:
130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, and 141 if the output pipe is closed.
"""

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path

import tyro
from tyro import conf

import layermix
from layermix.cli.compare import compare_variants
from layermix.cli.evaluate import evaluate_models
from layermix.cli.export_study import export_study
from layermix.cli.list_methods import list_methods
from layermix.cli.list_points import list_points
from layermix.cli.list_runs import show_runs
from layermix.cli.meta_analysis import meta_analysis
from layermix.cli.profile_model import profile_model
from layermix.cli.report import report
from layermix.cli.train import train
from layermix.cli.work import work_on_study
from layermix.errors import InputError, LayermixError, printable
from layermix.extras import missing_module
from layermix.lab.display import replace_unknown_characters
from layermix.lab.stop import stopped_by_signals
from layermix.lab.store import disk_problem

_DESCRIPTION = """layermix compare --data digits --out runs/digits

Mixup at any layer of any PyTorch model, and a study of which layer to mix. With --debug an error
shows its traceback; --version alone prints the version."""

_STYLE = (
    conf.CascadeSubcommandArgs,
    conf.DisallowNone,
    conf.FlagCreatePairsOff,  # in a pair, tyro does not find --no-FLAG without the preset's name
    conf.OmitArgPrefixes,
    conf.OmitSubcommandPrefixes,
)

app = tyro.extras.SubcommandApp()
app.command(name="compare")(compare_variants)
app.command(name="train")(train)
app.command(name="points")(list_points)
app.command(name="methods")(list_methods)
app.command(name="profile")(profile_model)
app.command(name="work")(work_on_study)
app.command(name="runs")(show_runs)
app.command(name="report")(report)
app.command(name="export")(export_study)
app.command(name="meta")(meta_analysis)
app.command(name="evaluate")(evaluate_models)


def run_cli(arguments: list[str] | None = None) -> None:
    """Run the command line with `arguments`, by default those of the process."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--version"]:
        return print(f"layermix {layermix.__version__}")
    replace_unknown_characters()
    sys.path.append(str(Path.cwd()))  # for models in the current folder, module:factory
    odd = any(printable(word) != word for word in words)
    with exit_codes(debug="--debug" in words), stopped_by_signals(), _escaped_errors(odd):
        app.cli(
            prog="layermix",
            description=_DESCRIPTION,
            args=[word for word in words if word != "--debug"],
            config=_STYLE,
        )
        sys.stdout.flush()
    return None


@contextmanager
def _escaped_errors(condition: bool) -> Iterator[None]:
    """If the condition is True, show control characters in the parser's errors as escapes."""
    if not condition:
        yield
        return
    text = io.StringIO()
    try:
        with redirect_stderr(text):
            yield
    finally:
        print(printable(text.getvalue()), file=sys.stderr, end="")


@contextmanager
def exit_codes(stopped: str = "stopped", *, debug: bool = False) -> Iterator[None]:
    """If the block raises an error, exit with its exit code; `debug` shows the traceback."""
    try:
        yield
    except KeyboardInterrupt as stop:
        sys.exit(_fail(str(stop) or stopped, 128 + getattr(stop, "signum", signal.SIGINT)))
    except BrokenPipeError:
        _discard_output()
        sys.exit(141)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, LayermixError):
            sys.exit(_fail(str(error), 2 if isinstance(error, InputError) else 1))
        if isinstance(error, OSError):
            sys.exit(_fail(disk_problem(error), 1))
        if isinstance(error, ModuleNotFoundError):
            sys.exit(_fail(missing_module(error), 1))
        kind = type(error).__name__
        sys.exit(_fail(f"{kind}: {error}. This is a bug: --debug shows the traceback", 1))


def _fail(message: str, code: int) -> int:
    print(printable(f"layermix: {message}"), file=sys.stderr)
    return code


def _discard_output() -> None:
    """Discard the rest of the output, so that closing the streams raises no error."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            os.dup2(null, stream.fileno())

"""The command line: one file for each command, a typed function that tyro turns into flags.

A command calls `layermix.experiments` and prints the results, with `layermix.reporting` if it
reports on a study. Import from here: `run_cli`.
"""

from layermix.cli.program import run_cli

__all__ = ["run_cli"]

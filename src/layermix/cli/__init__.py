"""The command line: one file for each command, with a typed function that tyro converts to flags.

A command calls `layermix.lab` and prints the results. Reports of studies are created by
`layermix.reporting`. The entry point is `run_cli`.
"""

from layermix.cli.program import run_cli

__all__ = ["run_cli"]

"""The command line: one file for each command, a typed function that tyro turns into flags.

A command calls `layermix.experiments` and prints the results, with `layermix.reporting` if it
reports on a study. Import from here: `main`, from `layermix.cli.main`.
"""

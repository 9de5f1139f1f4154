"""The command line: one file for each command, each a typed function that tyro turns into flags.

A command reads its settings, calls `layermix.experiments` and shows what comes back by
`layermix.reporting`. Nothing is imported from here but `layermix.cli.main.main`.
"""

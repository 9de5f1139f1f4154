"""Engines that execute the runs of a study. `local` uses worker processes on one machine.

Import `run_missing` from `local`.
"""

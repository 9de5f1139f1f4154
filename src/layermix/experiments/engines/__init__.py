"""Engines: how the runs of a study are executed. `local` has worker processes on one machine.

Import from here: nothing; import `run_missing` from `local`.
"""

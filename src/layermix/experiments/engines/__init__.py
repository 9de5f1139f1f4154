"""Engines: how the runs of a study are carried out. `local` has worker processes of one machine."""

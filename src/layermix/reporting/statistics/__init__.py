"""Statistics of paired runs and of layers: intervals, tests, corrections, rank correlations.

Each function takes numbers and returns numbers; nothing here knows how a report looks.
"""

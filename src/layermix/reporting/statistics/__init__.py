"""Statistics of paired runs and of layers: intervals, tests, corrections, rank correlations.

The functions take numbers and return numbers; the text and the look of reports are elsewhere.
"""

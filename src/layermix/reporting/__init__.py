"""Reporting: what the finished runs of a study say, as tables, figures and text.

`summarize` reads a study; from the `Summary` that it returns the terminal table, Markdown, JSON and
HTML are made, and `write_report` writes them all.
"""

from layermix.reporting.summary import Summary, summarize
from layermix.reporting.write import write_report

__all__ = ["Summary", "summarize", "write_report"]

"""Reporting: what the finished runs of a study say, as tables, figures and text.

`summarise` reads a study; from the `Summary` that it returns the terminal table, Markdown, JSON and
HTML are made, and `write_report` writes them all.
"""

from layermix.reporting.report import write_report
from layermix.reporting.summary import Summary, summarise

__all__ = ["Summary", "summarise", "write_report"]

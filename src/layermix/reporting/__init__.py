"""Reporting: the results of a study as tables, figures and text.

`summarize` reads a study and returns its numbers, a `Summary`. HTML, Markdown, JSON and the
terminal table are made from it; `write_report` writes the files.
"""

from layermix.reporting.summary import Summary, summarize
from layermix.reporting.write import write_report

__all__ = ["Summary", "summarize", "write_report"]

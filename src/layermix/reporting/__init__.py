"""Reporting: the results of a study as tables, figures and text.

`summarize` reads a study and returns its numbers, a `Summary`. HTML, Markdown, JSON and the
terminal table are made from it; `write_report` writes the files.
"""

from layermix.reporting.study_summary import summarize
from layermix.reporting.summary import Summary
from layermix.reporting.write import write_report

__all__ = ["Summary", "summarize", "write_report"]

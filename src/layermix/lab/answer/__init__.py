"""The answer: what the finished runs of a study say, in numbers and in words.

`Summary` is the one object from which terminal table, Markdown, JSON and HTML are made.
"""

from layermix.lab.answer.summary import Summary, summarise

__all__ = ["Summary", "summarise"]

"""The survey: can every model of a library be mixed at its final layer and after each block?

`python -m benchmarks survey timm` goes through a whole library; `docs/models.md` has
what it found.
"""

from benchmarks.survey.libraries import LIBRARIES, Library
from benchmarks.survey.row import MIXED, Row, read_rows, summary
from benchmarks.survey.run import check_models, survey

__all__ = ["LIBRARIES", "MIXED", "Library", "Row", "check_models", "read_rows", "summary", "survey"]

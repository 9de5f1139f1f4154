"""The survey: can every model of a library be mixed at its final layer and after each block?

`layermix points --check timm` goes through a whole library; `docs/models.md` says what it found.
"""

from layermix.lab.survey.libraries import LIBRARIES, Library
from layermix.lab.survey.row import MIXED, Row, read_rows, summary
from layermix.lab.survey.run import check_models, survey

__all__ = ["LIBRARIES", "MIXED", "Library", "Row", "check_models", "read_rows", "summary", "survey"]

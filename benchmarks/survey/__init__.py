"""Survey of models: which models can be mixed at the final layer and after each block.

`python -m benchmarks survey timm` tests all models of a library. `docs/models.md` has the
results.
"""

from benchmarks.survey.libraries import LIBRARIES, Library
from benchmarks.survey.row import MIXED, Row, read_rows, summary
from benchmarks.survey.run import check_models, survey

__all__ = ["LIBRARIES", "MIXED", "Library", "Row", "check_models", "read_rows", "summary", "survey"]

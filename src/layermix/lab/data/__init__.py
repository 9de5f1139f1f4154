"""Data: sources of images, texts, tables and sounds, and their splits.

`load` returns the `Dataset` of a `DataConfig`. Use `Source` and `write_source` to add your own data
set.
"""

from layermix.lab.data.config import DataConfig
from layermix.lab.data.dataset import Dataset, Source, Split, Subset
from layermix.lab.data.decoded import read_source, write_source
from layermix.lab.data.sources import load

__all__ = [
    "DataConfig",
    "Dataset",
    "Source",
    "Split",
    "Subset",
    "load",
    "read_source",
    "write_source",
]

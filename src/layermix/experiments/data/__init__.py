"""Data: sources of images and texts, and their splits.

Import from here: `DataConfig`, `load`; `Images`, `write_images`, `read_images` for a data set of
your own; `Split`, `Dataset`.
"""

from layermix.experiments.data.dataset import Dataset, Images, Split
from layermix.experiments.data.sources import DataConfig, load, read_images, write_images

__all__ = ["DataConfig", "Dataset", "Images", "Split", "load", "read_images", "write_images"]

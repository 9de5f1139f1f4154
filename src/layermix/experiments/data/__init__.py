"""Data: sources of images and texts, and their splits.

`load` returns the `Dataset` of a `DataConfig`. Use `Images` and `write_images` to add your own data
set.
"""

from layermix.experiments.data.dataset import Dataset, Images, Split
from layermix.experiments.data.sources import DataConfig, load, read_images, write_images

__all__ = ["DataConfig", "Dataset", "Images", "Split", "load", "read_images", "write_images"]

"""Data: sources of images and texts, their splits, and the batches of a training.

Import from here: `DataConfig`, `load`; `Images`, `write_images`, `read_images` for a data set of
your own; `Split`, `Dataset`, `Batches`, `Normalize` for a training loop.
"""

from layermix.experiments.data.batches import Batches, Normalize
from layermix.experiments.data.dataset import Dataset, Images, Split
from layermix.experiments.data.sources import DataConfig, load, read_images, write_images

__all__ = ["Batches", "DataConfig", "Dataset", "Images", "Normalize", "Split"]
__all__ += ["load", "read_images", "write_images"]

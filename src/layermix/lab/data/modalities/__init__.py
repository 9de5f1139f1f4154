"""Modalities: images, texts, tables, sounds, and any other tensors as inputs of a model.

To add one, write a subclass of `Modality` with a function that reads it, and add both here.
"""

from layermix.lab.data.modalities.images import ImageInputs, read_image_table
from layermix.lab.data.modalities.sounds import SoundInputs, read_sound_table
from layermix.lab.data.modalities.tabular import TableInputs, read_feature_table
from layermix.lab.data.modalities.texts import TextInputs, read_text_table
from layermix.lab.data.modality import Modality, TensorInputs

_KINDS = (ImageInputs, TextInputs, TableInputs, SoundInputs, TensorInputs)
MODALITIES: dict[str, type[Modality]] = {kind.name: kind for kind in _KINDS}
READERS = {
    "image": read_image_table,
    "text": read_text_table,
    "table": read_feature_table,
    "sound": read_sound_table,
}

__all__ = ["MODALITIES", "READERS", "ImageInputs", "Modality", "SoundInputs", "TableInputs"]
__all__ += ["TensorInputs", "TextInputs"]

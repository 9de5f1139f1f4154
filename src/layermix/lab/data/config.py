"""The settings of the data of a run, which are flags of the command line."""

from dataclasses import dataclass, fields
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np

from layermix.errors import InputError, brief
from layermix.lab.typed import check_types

Kind = Literal["image", "text", "table", "sound"]
OWN_DATA = "data.safetensors"
"""Name of the file in a study's folder with data that were given as tensors."""
FILES = (".csv", ".tsv", ".parquet", ".json", ".jsonl")  # suffixes of data sets in one file

_BOUNDS = {"train_size": (1, 10**9), "image_size": (1, 4096), "max_length": (1, 10**6)}
_BOUNDS |= {"mels": (2, 512)}
_MAX_SECONDS = 600
_CONVERTED: tuple[tuple[type, Any], ...] = (
    (list, tuple),  # lists come from JSON
    (PurePath, str),
    (np.integer, int),
)
_OF_KIND = {"image_size": "image", "image_column": "image", "text_column": "text"}
_OF_KIND |= {"tokenizer": "text", "max_length": "text", "audio_column": "sound"}
_OF_KIND |= {"seconds": "sound", "mels": "sound", "categorical_columns": "table"}


@dataclass(frozen=True)
class DataConfig:
    """Settings of the training data."""

    data: str = "digits"
    """`digits`; a hub id such as `uoft-cs/cifar10`; a folder of images or sounds with a subfolder
    for each class, or of parquet, CSV or JSON files; one such file; or a decoded data set,
    NAME.safetensors."""
    modality: Literal["auto"] | Kind = "auto"
    """Kind of the inputs; found by the types and names of the columns by default."""
    train_size: int | None = None
    """Number of training examples, balanced over the classes, or stratified if a class has too few;
    all by default."""
    image_size: int | None = None
    """Resize every image to this height and width in pixels."""
    image_column: str | None = None
    """Column of the images; found by type and name by default."""
    text_column: str | None = None
    """Column of the texts; found by type and name by default."""
    audio_column: str | None = None
    """Column of the sounds; found by type and name by default."""
    label_column: str | None = None
    """Column of the labels; found by type and name by default."""
    drop_columns: tuple[str, ...] = ()
    """Columns of a table that are not inputs, such as row numbers."""
    categorical_columns: tuple[str, ...] = ()
    """Columns of numbers that are codes of categories; columns of text always are."""
    tokenizer: str = "words"
    """`words` or `bytes` of a text, or the folder or hub id of a tokenizer of transformers."""
    max_length: int = 128
    """Maximum number of tokens of a text; the rest is cut off."""
    seconds: float = 1.0
    """Length of a sound: longer ones are cut at both ends, shorter ones are padded with silence."""
    mels: int = 32
    """Number of mel bands of a sound's spectrogram, and of its frames per second."""
    fixed_split: bool = False
    """Use one split for all seeds. By default, each seed draws its own training and validation
    examples, and test examples if the source has no test split."""
    label_noise: float = 0.0
    """Share of training examples whose label is replaced by a random other class."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            for kind, convert in _CONVERTED:
                if isinstance(value, kind):
                    object.__setattr__(self, field.name, convert(value))

    @property
    def short(self) -> str:
        """The last part of the source's name, used for the output folder."""
        path = Path(self.data)
        is_file = path.suffix in (*FILES, ".safetensors")
        return (path.stem if is_file else path.name) or "study"

    @property
    def title(self) -> str:
        """The name of the data in reports: for tensors, that of the study's folder."""
        path = Path(self.data)
        return path.parent.name if path.name == OWN_DATA else path.name

    def check(self) -> None:
        """Raise an `InputError` if a value is of another type or outside its bounds."""
        check_types(self)
        if not self.data.strip():
            raise InputError(f"data is {self.data!r}, but must be the name of a data set or a path")
        try:
            Path(self.data).exists()
        except OSError as error:  # such as a name that is too long, or a folder without access
            raise InputError(
                f"data is {brief(self.data)}, which cannot be read ({error.strerror}): use another "
                "path"
            ) from error
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                bound = f"{least} or more" if value < least else f"{most:,} or less"
                raise InputError(f"{name} is {brief(value)}, but must be {bound}")
        if not 0 < self.seconds <= _MAX_SECONDS:
            raise InputError(
                f"seconds is {self.seconds}, but must be above 0, and at most {_MAX_SECONDS}"
            )
        if not 0 <= self.label_noise < 1:
            raise InputError(f"label_noise is {self.label_noise}, but must be in [0, 1)")

    def check_used(self, kind: str, noun: str) -> None:
        """Raise an `InputError` if a setting has no effect on a kind of inputs."""
        if self.modality not in ("auto", kind):
            raise InputError(
                f"modality is {self.modality!r}, but the data have {noun}: leave it out"
            )
        for name, its_kind in _OF_KIND.items():
            value = getattr(self, name)
            if kind != its_kind and value != getattr(type(self), name):
                raise InputError(f"{name} is {value!r}, but the data have {noun}: leave it out")


OF_SPLITS = ("train_size", "fixed_split", "label_noise")
"""Settings of a `DataConfig` that do not change the decoded examples."""

"""Settings of a profile, which are flags of the command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from layermix.geometry.features import Pool
from layermix.lab.typed import require_range

_RANGES = {"classes": (1, 1_000_000), "image_size": (1, 4096), "seed": (0, 2**32 - 1)}


@dataclass(frozen=True)
class ProfileConfig:
    """Settings of a profile: the model, the data and the quantities."""

    model: str = "resnet-small"
    """A model of `compare`, such as resnet-small or timm:NAME; transformers:CONFIG (a folder); or
    package.module:factory."""
    weights: Path | None = None
    """Safetensors file of the weights; random weights by default."""
    run: Path | None = None
    """Folder of a run of `layermix train` or of a study: its model, weights and data."""
    trust: bool = False
    """Import the code of the run's model, package.module:factory."""
    data: str = "digits"
    """The data, as for `compare`."""
    split: Literal["validation", "test", "train"] = "validation"
    """Split of the data to measure."""
    classes: int | None = None
    """Number of logits of the model, if it differs from the number of classes of the data."""
    image_size: int | None = None
    """Resize every image to this height and width in pixels."""
    image_column: str | None = None
    """Column of the images; found by type and name by default."""
    text_column: str | None = None
    """Column of the texts; found by type and name by default."""
    label_column: str | None = None
    """Column of the labels; found by type and name by default."""
    drop_columns: tuple[str, ...] = ()
    """Columns of a table that are not inputs, such as row numbers."""
    categorical_columns: tuple[str, ...] = ()
    """Columns of numbers that are codes of categories; columns of text always are."""
    tokenizer: str | None = None
    """Folder or hub id of a tokenizer of transformers, `words` or `bytes`; the default is words for
    the text models of `compare`, and bytes for others."""
    normalize: Literal["data", "model"] = "data"
    """Normalize images by the training data, or as a timm model was trained."""
    points: tuple[str, ...] = ()
    """Mix points; by default the input, each block, final and logits."""
    quantities: tuple[str, ...] = ()
    """Quantities to measure, by the names listed below a profile; all by default."""
    examples: int = 2000
    """Maximum number of examples."""
    mixed: int = 256
    """Maximum number of examples to mix for the interpolation gap."""
    pool: Pool = "auto"
    """Flatten the positions, or use their mean, the first or the last; `auto` uses the mean of
    tokens and flattens all other activations."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `mps`, or a device such as `cuda:1`."""
    seed: int = 0
    """Seed of random weights, and of the choice of examples and partners."""

    def check(self) -> None:
        """Raise an `InputError` if a number is out of its range."""
        for name, (low, high) in _RANGES.items():
            require_range(name, getattr(self, name), low, high)

"""The base class of modalities, and tensors of any shape.

Shapes: N examples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.lab.data.config import DataConfig

Transform = Callable[[Tensor], Tensor]
Preprocess = Callable[[Tensor], Any]
"""A function of stored inputs (B, ...), which returns the input of a model."""


@dataclass(frozen=True)
class Modality:
    """How the inputs of a data set are stored, and how they become the input of a model.

    Its fields are values for JSON, which are stored with the data.
    """

    name: ClassVar[str] = "tensor"
    noun: ClassVar[str] = "examples"  # plural, for texts
    default_model: ClassVar[str] = "mlp"
    default_optimizer: ClassVar[Literal["sgd", "adamw"]] = "adamw"

    def problem(self, inputs: Tensor) -> str | None:
        """Return the reason why inputs (N, ...) cannot be stored, or None."""
        raise NotImplementedError

    def encoding(self, train: Tensor) -> Transform:
        """Return a function that encodes the inputs of all splits once, fitted to training data."""
        del train
        return lambda inputs: inputs

    def preprocessing(self, train: Tensor) -> Preprocess:
        """Return a function that preprocesses each batch, fitted to encoded training data."""
        del train
        return lambda inputs: inputs

    def read_more(
        self, tables: Mapping[str, Any], config: DataConfig, shape: Sequence[int]
    ) -> dict[str, Tensor]:
        """Read the inputs of another data set in this form, by split.

        `shape` is that of one stored input. Data of another kind raise an `InputError`.
        """
        raise InputError(f"other data cannot be read as {self.noun} of shape {tuple(shape)}")

    def model_arguments(self, inputs: Tensor) -> dict[str, Any]:
        """Return the arguments with which a model for encoded inputs (N, ...) is built."""
        return {"in_features": inputs[0].numel()}

    def default_augmentation(self, inputs: Tensor) -> tuple[int, bool]:
        """Return the default of the recipe's `crop` and `flip`."""
        del inputs
        return 0, False


def map_arguments(shape: Sequence[int]) -> dict[str, Any]:
    """Return the arguments of a model for maps whose shape is (C, H, W).

    `image_size` is an int for square maps, otherwise (height, width).
    """
    channels, height, width = shape
    size = height if height == width else (height, width)
    features = channels * height * width
    return {"in_channels": channels, "image_size": size, "in_features": features}


@dataclass(frozen=True)
class TensorInputs(Modality):
    """Tensors (N, ...) of any shape, which models get as they are.

    Float64 becomes float32, and uint8 becomes float32 in [0, 1].
    """

    def problem(self, inputs: Tensor) -> str | None:
        """Return the reason why inputs cannot be stored, or None."""
        if inputs.ndim < 2 or inputs.dtype == torch.bool or inputs.is_complex():
            return f"inputs must be numbers of shape (N, ...), but are {shape_text(inputs)}"
        return None

    def preprocessing(self, train: Tensor) -> Preprocess:
        """Return a function that converts a batch to the dtype of a model."""
        if train.dtype == torch.uint8:
            return lambda inputs: inputs.float() / 255
        return lambda inputs: inputs.float() if inputs.dtype == torch.float64 else inputs

    def model_arguments(self, inputs: Tensor) -> dict[str, Any]:
        """Return the arguments with which a model is built."""
        if inputs.ndim == 4:
            return map_arguments(inputs.shape[1:])
        return super().model_arguments(inputs)


def shape_text(tensor: Tensor) -> str:
    """Return dtype and shape of a tensor as text."""
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}"

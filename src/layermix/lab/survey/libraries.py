"""The libraries that are surveyed: what their classifiers are called, and how each is built.

A new library is an entry of `LIBRARIES`. timm's and torchvision's models are built at full size on
the meta device, where parameters and activations have shapes and no numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from layermix.attach.batch import Batch
from layermix.errors import InputError
from layermix.lab.survey.hugging_face import build_hugging_face, hugging_face_names

CLASSES, EXAMPLES = 10, 3

Built = tuple[nn.Module, Batch]


@dataclass(frozen=True)
class Library:
    """Where models come from.

    Attributes
    ----------
    names
        Returns the names of all its models.
    build
        Returns a model of random weights by its name, and a batch for it.
    """

    names: Callable[[], list[str]]
    build: Callable[[str], Built]


def _timm_names() -> list[str]:
    return _imported("timm").list_models()


def _timm(name: str) -> Built:
    timm = _imported("timm")
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=CLASSES)
        return model, torch.zeros(EXAMPLES, *model.default_cfg.get("input_size", (3, 224, 224)))


def _torchvision_names() -> list[str]:
    models = _imported("torchvision.models")
    return models.list_models(module=models)


def _torchvision(name: str) -> Built:
    options: dict[str, Any] = {"weights": None, "num_classes": CLASSES}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False  # which takes minutes
    size = 299 if name == "inception_v3" else 224
    on_cpu = name.startswith("regnet")  # computes its widths with tensors
    model = _imported("torchvision.models").get_model
    with torch.device("cpu" if on_cpu else "meta"):
        built = model(name, **options).to("meta")
    return built, torch.zeros(EXAMPLES, 3, size, size, device="meta")


def _imported(name: str) -> Any:
    try:
        return __import__(name, fromlist=["models"])
    except ImportError as error:
        library = name.partition(".")[0]
        raise InputError(f"the survey of {library} needs it: pip install {library}") from error


LIBRARIES: dict[str, Library] = {
    "timm": Library(_timm_names, _timm),
    "torchvision": Library(_torchvision_names, _torchvision),
    "transformers": Library(hugging_face_names, build_hugging_face),
}

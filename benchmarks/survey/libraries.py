"""The libraries of the survey: names of their classifiers, and functions that build them.

To add a library, add an entry to `LIBRARIES`. Models of timm and torchvision are built at full size
on the meta device, where tensors have shapes but no data. The smallest model of each family is also
built on the CPU, with random weights and, if the model allows it, small images.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from benchmarks.survey.hugging_face import build_hugging_face, hugging_face_names
from layermix.errors import InputError
from layermix.hooks.batch import Batch

CLASSES, EXAMPLES = 10, 3
_LARGE = 224  # pixels; larger images are reduced to this size if the model allows it
# Settings that reduce models with very slow forward passes on a CPU.
_REDUCED = {"gemma4_vit_167m": {"depth": 2, "img_size": 256}}

Built = tuple[nn.Module, Batch]


@dataclass(frozen=True)
class Library:
    """A library of models.

    Attributes
    ----------
    names
        Function that returns the names of all models.
    build
        Function that returns a model with random weights and a batch. Its arguments are the name of
        the model, and True for real numbers or False for the meta device (if it is supported).
    family
        Function that returns the family of a model; models of one family share their code.
    """

    names: Callable[[], list[str]]
    build: Callable[[str, bool], Built]
    family: Callable[[str], str] = str


def _timm_names() -> list[str]:
    return _imported("timm").list_models()


@cache
def _timm_families() -> dict[str, str]:
    timm = _imported("timm")
    return {
        name: module for module in timm.list_modules() for name in timm.list_models(module=module)
    }


def _timm(name: str, real: bool) -> Built:
    timm = _imported("timm")
    if not real:
        with torch.device("meta"):
            model = timm.create_model(name, num_classes=CLASSES)
            return model, torch.zeros(EXAMPLES, *_timm_size(model))
    reduced = _REDUCED.get(name, {})
    model = timm.create_model(name, num_classes=CLASSES, **reduced)
    channels, *size = _timm_size(model)
    if reduced:
        return model, torch.randn(EXAMPLES, channels, *[reduced["img_size"]] * 2)
    x = torch.randn(EXAMPLES, channels, *size)
    if max(size) > _LARGE:
        # Many models only accept one image size.
        with suppress(TypeError, AssertionError, RuntimeError, ValueError), torch.no_grad():
            smaller = timm.create_model(name, num_classes=CLASSES, img_size=_LARGE).eval()
            few = torch.randn(EXAMPLES, channels, _LARGE, _LARGE)
            smaller(few[:1])
            return smaller.train(), few
    return model, x


def _timm_size(model: Any) -> tuple[int, ...]:
    return tuple(model.default_cfg.get("input_size", (3, 224, 224)))


def _torchvision_names() -> list[str]:
    models = _imported("torchvision.models")
    return models.list_models(module=models)


def _torchvision_family(name: str) -> str:
    builder = _imported("torchvision.models").get_model_builder(name)
    return builder.__module__.rpartition(".")[2]


def _torchvision(name: str, real: bool) -> Built:
    options: dict[str, Any] = {"weights": None, "num_classes": CLASSES}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False  # it takes minutes
    size = 299 if name == "inception_v3" else 224
    on_cpu = real or name.startswith("regnet")  # computes its widths with tensors
    model = _imported("torchvision.models").get_model
    with torch.device("cpu" if on_cpu else "meta"):
        built = model(name, **options)
    if real:
        return built, torch.randn(EXAMPLES, 3, size, size)
    return built.to("meta"), torch.zeros(EXAMPLES, 3, size, size, device="meta")


def _imported(name: str) -> Any:
    try:
        return __import__(name, fromlist=["models"])
    except ImportError as error:
        library = name.partition(".")[0]
        raise InputError(f"the survey of {library} needs it: pip install {library}") from error


LIBRARIES: dict[str, Library] = {
    "timm": Library(_timm_names, _timm, lambda name: _timm_families()[name]),
    "torchvision": Library(_torchvision_names, _torchvision, _torchvision_family),
    "transformers": Library(hugging_face_names, lambda name, _: build_hugging_face(name)),
}

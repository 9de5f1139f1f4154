"""Build a model by name: one of `MODELS`, a model of timm or transformers, or a custom factory.

To add a model, write its class in this folder and add it to `MODELS`. A factory is called with
those arguments of the data that it accepts: `num_classes`; `in_channels` and `image_size` (in
pixels; a pair if it is not square) for images and sounds; `in_features` for these and for tables;
`vocab_size`, `max_length` (in tokens) and `pad_token_id` for texts.
"""

import functools
import importlib
import inspect
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from layermix.errors import InputError, unknown
from layermix.extras import require
from layermix.lab.models import mlp, networks, text_models, vit
from layermix.lab.reasons import reason_of

MODELS: dict[str, Callable[..., nn.Module]] = {
    "resnet18": networks.ResNet18,
    "preactresnet18": networks.PreActResNet18,
    "resnet-small": networks.SmallResNet,
    "resnet-small-gn": functools.partial(networks.SmallResNet, norm=networks.group_norm),
    "speed": networks.SpeedNet,
    "vit-small": vit.SmallViT,
    "mlp": mlp.MLP,
    "mlp-ln": functools.partial(mlp.MLP, norm=nn.LayerNorm),
    "table-resnet": mlp.TableResNet,
    "text-bag": text_models.BagOfEmbeddings,
    "text-cnn": text_models.TextCNN,
    "text-transformer": text_models.TextTransformer,
}
_CONFIGS = "transformers:"
_OF_DATA = {"in_channels": "channels", "image_size": "an image size", "vocab_size": "token ids"}
_OF_DATA |= {"in_features": "vectors of features"}
_SHOWN, _LONG = 3, 160  # maximum number of torch's errors in a message, and characters of each
_WRAPPERS = ("_orig_mod.", "module.")  # name prefixes of torch.compile and parallel training


Factory = Callable[..., nn.Module]
"""A function that returns a model, called with those arguments of the data that it accepts."""


def build(
    name: str, num_classes: int, arguments: Mapping[str, Any], factory: Factory | None = None
) -> nn.Module:
    """Build a model by name, with random weights from torch's global generator.

    `name` is one of `MODELS`, ``timm:NAME``, ``transformers:CONFIG`` (a folder with a
    ``config.json``, or the hub id of a model), or ``package.module:factory``. `arguments` are those
    of the data (see `Modality.model_arguments`). With a `factory`, the name is only used in errors.

    Raises
    ------
    InputError
        If the model does not exist, or cannot be built for these data.
    """
    factory = factory or _factory(name)
    if not callable(factory):
        raise InputError(f"{name} is a {type(factory).__name__}, which cannot be called")
    parameters = inspect.signature(factory).parameters
    given = {"num_classes": num_classes, **arguments}
    accepted = [key for key in _OF_DATA if key in parameters]
    if accepted and not (any(key in given for key in accepted) or name.startswith(_CONFIGS)):
        raise InputError(
            f"{name} needs {' and '.join(_OF_DATA[key] for key in accepted)}, but the data have "
            "none: use another --model, or other data"
        )
    size = given.get("image_size")
    if name not in MODELS and "image_size" in parameters and isinstance(size, tuple):
        raise InputError(f"{name} needs square images, but these are {size[0]} × {size[1]} pixels")
    if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
        given = {key: value for key, value in given.items() if key in parameters}
    try:
        model = _call(factory, given)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"cannot build the model {name!r} with {given}: {reason_of(error)}"
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(f"{name} returned a {type(model).__name__}, not a torch.nn.Module")
    return model


def is_own_code(name: str) -> bool:
    """Return True if a model is built by ``package.module:factory``, which is imported."""
    prefix, colon, _ = name.partition(":")
    return bool(colon) and prefix not in ("timm", "transformers")


def require_trust(name: str, where: Path, trust: bool = False) -> None:
    """Raise an `InputError` if the name of a model in a stored record would import code.

    If `trust` is True, it may.
    """
    if is_own_code(name) and not trust:
        raise InputError(
            f"the model in {where} is {name.partition('#')[0]!r}, whose code would be imported: "
            "add --trust if you trust it"
        )


def _factory(name: str) -> Any:
    if name in MODELS:
        return MODELS[name]
    prefix, colon, rest = name.partition(":")
    if not colon:
        raise unknown(
            "model", name, [*MODELS, "timm:NAME", "transformers:CONFIG", "package.module:factory"]
        )
    if prefix == "timm":
        return _timm(rest)
    if prefix == "transformers":
        require(prefix)
        return functools.partial(_from_config, rest)
    try:
        return getattr(importlib.import_module(prefix), rest.partition("#")[0])
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        is_missing = isinstance(error, ImportError | AttributeError)
        reason = error if is_missing else f"{type(error).__name__}: {error}"
        hint = ". A function that cannot be imported must be passed, as factory" * ("#" in rest)
        raise InputError(f"cannot find the model {name!r}: {reason}{hint}") from error


def _timm(name: str) -> Callable[..., nn.Module]:
    import timm

    if not timm.is_model(name):
        raise unknown("timm model", name, timm.list_models())

    def factory(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
        options: dict[str, Any] = {"num_classes": num_classes, "in_chans": in_channels}
        try:
            return timm.create_model(name, img_size=image_size, **options)
        except TypeError:  # a model for images of any size
            return timm.create_model(name, **options)

    return factory


def _from_config(
    name: str,
    num_classes: int,
    in_channels: int | None = None,
    image_size: int | None = None,
    vocab_size: int | None = None,
    pad_token_id: int | None = None,
) -> nn.Module:
    """Return an untrained classifier of transformers, for texts if `image_size` is None.

    The vocabulary of the data replaces that of the configuration if it is larger.
    """
    import transformers

    try:
        config: Any = transformers.AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"there is no configuration {name!r}: {reason}") from error
    config.num_labels = num_classes
    if vocab_size is not None:
        config.vocab_size = max(vocab_size, config.vocab_size)
    settings = {"image_size": image_size, "num_channels": in_channels}
    for setting, value in {**settings, "pad_token_id": pad_token_id}.items():
        if value is not None and hasattr(config, setting):
            setattr(config, setting, value)
    kind, family = "texts", transformers.AutoModelForSequenceClassification
    if image_size is not None:
        kind, family = "images", transformers.AutoModelForImageClassification
    try:
        return family.from_config(config)
    except ValueError as error:
        if not str(error).startswith("Unrecognized configuration class"):
            raise
        raise InputError(
            f"the data are {kind}, but transformers has no classifier of {kind} for a "
            f"{type(config).__name__}: use another model, or other data"
        ) from error


def _call(factory: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Call a factory; if one of its inner functions refuses an argument, leave the argument out."""
    try:
        return factory(**arguments)
    except TypeError as error:
        refused = [key for key in arguments if f"unexpected keyword argument '{key}'" in str(error)]
        if not refused:
            raise
        return _call(factory, {key: arguments[key] for key in arguments if key not in refused})


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read weights from a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read weights from {path}: {error.strerror}") from error
    except SafetensorError as error:
        raise InputError(f"cannot read weights from {path}: {error}") from error


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load weights, read from `path`; remove name prefixes that wrappers have added."""
    expected = model.state_dict()
    for prefix in 2 * _WRAPPERS:
        if set(weights) != set(expected) and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    for name in dict(model.named_parameters()).keys() & weights.keys():  # masks may be infinite
        if not weights[name].isfinite().all():
            raise InputError(f"the weights in {path} have NaN or infinite values in {name!r}")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reasons = str(error).split("\n\t")[1 : 1 + _SHOWN]
        raise InputError(
            f"the weights in {path} do not match this model: "
            f"{' '.join(textwrap.shorten(reason, _LONG) for reason in reasons)} --classes sets the "
            "number of classes, --image-size the size of the images"
        ) from error

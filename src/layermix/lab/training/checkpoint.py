"""Checkpoints: the whole state of a training after an epoch, as bytes.

A training that continues from a checkpoint equals one that was not interrupted, to the bit on a
CPU. The bytes are a safetensors file, whose metadata has all values that are not tensors, as JSON.
"""

import json
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from layermix.errors import RunError
from layermix.lab.store.records import tensor_bytes
from layermix.lab.training.loop import Trainer
from layermix.lab.training.sharding import copy_whole, whole_tensor


def checkpoint_bytes(
    trainer: Trainer, key: str, content: dict[str, Any], tensors: dict[str, Tensor]
) -> bytes:
    """Return the state of a training after an epoch, with further content for JSON and tensors.

    `key` identifies the run, for `load_checkpoint`.
    """
    state = {
        "model": dict(_tensors(trainer)),
        "compiled": trainer.is_compiled,
        "optimization": trainer.optimization.state_dict(),
        "batches": trainer.batches.state_dict(),
        "mixer": trainer.mixer.state_dict() if trainer.mixer else None,
        "seconds": [monitor.seconds for monitor in trainer.monitors],
        "more": tensors,
    }
    found: dict[str, Tensor] = {}
    about = {"key": key, "content": content, "state": _encoded(state, found)}
    return tensor_bytes(found, {"layermix": json.dumps(about)})


def load_checkpoint(
    trainer: Trainer, key: str, content: bytes
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Load a state from `checkpoint_bytes`; return the further content and tensors.

    If it is the state of another run, or cannot be read, a `RunError` is raised.
    """
    about, tensors = _read(content)
    if about["key"] != key:
        raise RunError("the checkpoint is that of other settings, data or versions")
    state = _decoded(about["state"], tensors)
    own = dict(_tensors(trainer))
    shapes = [{name: tuple(x.shape) for name, x in each.items()} for each in (own, state["model"])]
    if shapes[0] != shapes[1]:
        raise RunError("the checkpoint has the weights of another model")
    for name, tensor in own.items():
        copy_whole(tensor, state["model"][name])
    if trainer.is_compiled and not state["compiled"]:
        trainer.model, trainer.is_compiled = trainer.raw_model, False
    trainer.optimization.load_state_dict(state["optimization"])
    trainer.batches.load_state_dict(state["batches"])
    if trainer.mixer:
        trainer.mixer.load_state_dict(state["mixer"])
    for monitor, seconds in zip(trainer.monitors, state["seconds"], strict=True):
        monitor.seconds = seconds
    return about["content"], state["more"]


def _read(content: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        size = int.from_bytes(content[:8], "little")
        about = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["layermix"])
        return about, load(content)
    except (ValueError, LookupError, TypeError, SafetensorError) as error:
        raise RunError(f"the checkpoint cannot be read: {error}") from error


def _tensors(trainer: Trainer) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters and buffers of the model, also those that are not in its state."""
    yield from trainer.raw_model.named_parameters()
    yield from trainer.raw_model.named_buffers()


def _encoded(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a value for JSON; its tensors are added to `tensors`."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = whole_tensor(value)
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _encoded(each, tensors)] for key, each in value.items()]}
    if isinstance(value, list | tuple):
        return [_encoded(each, tensors) for each in value]
    return value


def _decoded(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return the value of `_encoded`, with lists instead of tuples."""
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _decoded(each, tensors) for key, each in value["dict"]}
    return [_decoded(each, tensors) for each in value] if isinstance(value, list) else value

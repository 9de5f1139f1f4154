"""Train the runs of a study with a function of the user, instead of the loop of the lab.

The function gets a variant, a seed, the data of this seed and a `MixerFactory`. It trains as it
likes, with any optimizer, augmentation or library, and returns logits or metrics of the validation
and the test data.

Shapes: N examples, K classes.
"""

import functools
import hashlib
import inspect
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from layermix.errors import InputError, RunError, brief, recorded_warnings, warn
from layermix.hooks import Mixer, points
from layermix.hooks.batch import Batch
from layermix.lab.data import Dataset
from layermix.lab.run_setup import load_once
from layermix.lab.store import RunConfig, RunResult
from layermix.lab.training import Recipe
from layermix.lab.training import environment as env
from layermix.lab.training.logits import metrics_of, stored_logits
from layermix.lab.variants import mix_points, mixer_settings

_SPLITS = ("val", "test")


@dataclass(frozen=True)
class MixerFactory:
    """Create the mixer of a variant and a seed for a model.

    For the variant none, its mixer never mixes, so that the same code trains all variants.
    """

    variant: str
    seed: int
    data: Dataset
    mixers: list[Mixer] = field(default_factory=list, repr=False, compare=False)
    """The mixers that were created."""

    def __call__(self, model: nn.Module, x: Batch | None = None, **settings: Any) -> Mixer:
        """Return a `layermix.Mixer` of the model.

        Parameters
        ----------
        model
            Any model, before its first compiled call.
        x
            Some inputs of the model, on its device. Default: three training examples, as the
            built-in training preprocesses them.
        settings
            Further arguments of the `Mixer`.
        """
        few: Batch = self.data.preprocess(self.data.train.inputs[:3]) if x is None else x
        seed = env.RunSeeds.of(self.seed).mix
        if self.variant == "none":
            return Mixer(model, seed=seed, **{**settings, "at": "logits", "prob": 0.0})
        known = points(model, few)
        if self.variant not in known.names:  # a group, a method or another module
            known = points(model, few, all=True)
        chosen = mixer_settings(self.variant, known, Recipe())
        at = {"at": mix_points(self.variant, known)}
        self.mixers.append(Mixer(model, seed=seed, **{**at, **chosen, **settings}))
        return self.mixers[-1]

    def warn_if_unused(self) -> None:
        """Warn if the variant mixes, but no mixer of this factory was called."""
        steps = [mixer.state_dict()["clock"]["step"] for mixer in self.mixers]
        if self.variant != "none" and not any(steps):
            warn(
                f"the training function mixed nothing for the variant {self.variant!r}: call "
                "mixer = mixer_factory(model), and mixer(x, y) in each step"
            )


TrainFunction = Callable[[str, int, Dataset, MixerFactory], Any]
"""A function ``train(variant, seed, data, mixer_factory)``. It returns a mapping with the entries
``"val"`` and ``"test"``, each of which are logits (N, K) or metrics, such as
``{"accuracy": 0.97, "nll": 0.11}``."""


def function_name(function: Callable[..., Any]) -> str:
    """Return a name of a function that differs if its code or its arguments differ.

    Examples are ``package.module:train#1f0c2a9b`` and, for `functools.partial`,
    ``package.module:train(width=8)#1f0c2a9b``. The number is a hash of the source, and is left out
    if there is none.
    """
    arguments = ""
    if isinstance(function, functools.partial):
        named = [f"{name}={_argument(value)}" for name, value in function.keywords.items()]
        arguments = f"({', '.join([*map(_argument, function.args), *named])})"
        function = function.func
    if not hasattr(function, "__qualname__"):  # an object that can be called
        function = type(function)
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):  # built in, or typed at a prompt
        source = ""
    cells = getattr(function, "__closure__", None) or ()
    code = source + ", ".join(_argument(cell.cell_contents) for cell in cells)
    mark = f"#{hashlib.sha256(code.encode()).hexdigest()[:8]}" if source else ""
    return f"{function.__module__ or '__main__'}:{function.__qualname__}{arguments}{mark}"


def _argument(value: Any) -> str:
    """Return a value as text that is equal in every process."""
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    return getattr(value, "__qualname__", type(value).__qualname__)


def own_result(config: RunConfig, train: TrainFunction) -> RunResult:
    """Call a training function, and return the result of the run.

    An invalid result of the function raises an `InputError`.
    """
    data = load_once(config.data, config.seed).copy()  # a function may change it
    started = time.perf_counter()
    factory = MixerFactory(config.variant, config.seed, data)
    with recorded_warnings() as warnings:
        with env.all_seeds(env.RunSeeds.of(config.seed).init):
            returned = train(config.variant, config.seed, data, factory)
        factory.warn_if_unused()
        found = result_of(returned, data, time.perf_counter() - started)
    return replace(found, warnings=warnings)


def result_of(returned: Any, data: Dataset, seconds: float) -> RunResult:
    """Return the result of a run from the logits or metrics that a training function returned."""
    if not isinstance(returned, Mapping) or set(returned) != set(_SPLITS):
        raise InputError(
            f"the training function returned {brief(returned)}, but must return a mapping with the "
            "entries 'val' and 'test', each with logits (N, K) or metrics"
        )
    logits: dict[str, Tensor] = {}
    if all(isinstance(returned[name], Mapping) for name in _SPLITS):
        metrics = {name: _checked_metrics(returned[name], name) for name in _SPLITS}
    else:
        raw = {name: _checked_logits(returned[name], data, name) for name in _SPLITS}
        labels = {name: getattr(data, name).labels.cpu() for name in _SPLITS}
        logits = stored_logits(raw, labels, {})
        metrics = metrics_of(logits)
    return RunResult(
        test=metrics["test"],
        val=metrics["val"],
        sizes=data.sizes,
        classes=list(data.classes),
        subset=data.subset,
        digests=data.digests,
        timings={"seconds": seconds},
        logits=logits,
    )


def _checked_logits(values: Any, data: Dataset, name: str) -> Tensor:
    expected = (len(getattr(data, name)), len(data.classes))
    if isinstance(values, np.ndarray):
        values = torch.from_numpy(values)
    if not isinstance(values, Tensor) or values.shape != expected:
        found = tuple(values.shape) if isinstance(values, Tensor) else brief(values)
        raise InputError(
            f"the {name} logits are {found}, but must be a tensor of shape {expected}: one row for "
            f"each example of data.{name}, in its order"
        )
    logits = values.detach().float().cpu()
    if logits.isnan().any():
        raise RunError(f"the {name} logits have NaN: the training diverged, try a lower lr")
    if ((logits >= 0) & (logits <= 1)).all() and torch.allclose(logits.sum(1), torch.ones(())):
        raise InputError(
            f"the {name} logits are probabilities, whose rows sum to 1: return logits, or log(p)"
        )
    return logits


def _checked_metrics(values: Mapping[str, Any], name: str) -> dict[str, float]:
    found = {}
    for key, value in values.items():
        try:
            found[str(key)] = float(value)
        except (TypeError, ValueError, RuntimeError):  # of None, a matrix, a text
            warn(f"the {name} metric {key!r} is {brief(value)} and no number, so it is left out")
    accuracy = found.get("accuracy", math.nan)
    if not 0 <= accuracy <= 1:
        raise InputError(
            f"the {name} metrics are {brief(dict(values))}, but must have an accuracy in [0, 1]"
        )
    return found

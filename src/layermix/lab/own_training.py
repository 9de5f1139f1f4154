"""Train the runs of a study with a function of the user, instead of the loop of the lab.

The function gets a variant, a seed, the data of this seed and a `MixerFactory`. It trains as it
likes, with any optimizer, augmentation or library, and returns logits or metrics of the validation
and the test data.

Shapes: N examples, K classes.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from layermix.errors import InputError, brief
from layermix.hooks import Mixer, points
from layermix.hooks.batch import Batch
from layermix.lab import store
from layermix.lab.data import Dataset
from layermix.lab.run import check_new, load_once, write_result
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
            return Mixer(model, at="logits", seed=seed, **{**settings, "prob": 0.0})
        known = points(model, few)
        if self.variant not in known.names:  # a group, a method or another module
            known = points(model, few, all=True)
        chosen = mixer_settings(self.variant, known, Recipe())
        at = {"at": mix_points(self.variant, known)}
        return Mixer(model, seed=seed, **{**at, **chosen, **settings})


TrainFunction = Callable[[str, int, Dataset, MixerFactory], Any]
"""A function ``train(variant, seed, data, mixer_factory)``. It returns a mapping with the entries
``"val"`` and ``"test"``, each of which are logits (N, K) or metrics, such as
``{"accuracy": 0.97, "nll": 0.11}``."""


def function_name(function: Callable[..., Any]) -> str:
    """Return the module and the name of a function, such as ``package.module:train``."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', None) or '__main__'}:{name}"


def run_own(config: RunConfig, train: TrainFunction, folder: Path) -> RunResult:
    """Call a training function, and write its results to an output folder.

    An invalid result raises an `InputError`.
    """
    check_new(folder)
    data = load_once(config.data, config.seed)
    with store.new_run(folder) as files:
        store.write_json(files / "config.json", asdict(config))
        (files / "epochs.jsonl").touch()
        started = time.perf_counter()
        factory = MixerFactory(config.variant, config.seed, data)
        with env.torch_seed(env.RunSeeds.of(config.seed).init):
            returned = train(config.variant, config.seed, data, factory)
        found = result_of(returned, data, time.perf_counter() - started)
        return write_result(files, found, config.recipe.device)


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
    return values.detach().float().cpu()


def _checked_metrics(values: Mapping[str, Any], name: str) -> dict[str, float]:
    found = {str(key): float(value) for key, value in values.items()}
    accuracy = found.get("accuracy", math.nan)
    if not 0 <= accuracy <= 1:
        raise InputError(
            f"the {name} metrics are {brief(dict(values))}, but must have an accuracy in [0, 1]"
        )
    return found

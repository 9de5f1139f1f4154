"""Profile a model: choose examples, run the model on them once, and measure each layer."""

import math
import random
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from layermix.errors import InputError, brief
from layermix.geometry.features import Pool, all_features, on_device
from layermix.geometry.gap import GAP_RATIOS, Gap, MixPoints, interpolation_gap
from layermix.geometry.layer import LayerFeatures, not_finite
from layermix.geometry.profile_data import choose_examples
from layermix.geometry.profile_result import LayerProfile, Profile
from layermix.geometry.profile_setup import ProfileSetup, missing_values, set_up
from layermix.geometry.quantities import GAP_QUANTITIES, measure_layer, quantity_names
from layermix.geometry.snnl import chance_level, layer_snnl
from layermix.hooks import MixPoint
from layermix.hooks.batch import checked, first
from layermix.hooks.sites import as_module, unwrap


def profile(
    model: nn.Module,
    data: Any,
    at: MixPoints | None = None,
    *,
    quantities: str | Iterable[str] | None = None,
    pool: Pool = "auto",
    batch_dim: int = 0,
    ignore_index: int = -100,
    max_examples: int = 2000,
    batch_size: int = 128,
    memory: int = 2**30,
    gap_examples: int = 256,
    gap_ratios: tuple[float, ...] = GAP_RATIOS,
    seed: int = 0,
    progress: bool = True,
) -> Profile:
    """Measure how entangled the classes are at each layer of a model, in eval mode.

    The features of all layers need one pass over the examples. The interpolation gap needs one more
    pass for each layer and ratio, over fewer examples. Use data that the model was not trained on.

    Parameters
    ----------
    model
        A classifier. Its state, its mode and the global random states are not changed.
    data
        A pair (x, labels), a data set of such pairs, or an iterable of batches such as a
        `DataLoader`. x is a tensor, a tuple of tensors for ``model(*x)``, or a mapping of named
        inputs, which may include an ``attention_mask``. Labels are integer classes, shape (N,).
    at
        Mix points. Default: the input, each repeated block, the final layer and the logits.
    quantities
        Names from `layermix.geometry.QUANTITIES`. Default: all. For large models, ``"gap"`` and
        ``"gap_loss"`` take most of the time.

    pool
        Pooling of activations with positions: ``"flatten"``, or the ``"mean"``, ``"first"`` or
        ``"last"`` of the positions that the attention mask selects. ``"auto"`` averages tokens and
        flattens all other activations.
    batch_dim
        Batch dimension of the inputs, for example 1 for models that expect (L, B, d). Single
        examples of a data set are stacked along it.
    ignore_index
        Label of examples to ignore.

    max_examples, batch_size
        Maximum number of examples, and of examples in a forward pass (2 or more). If there are more
        than `max_examples`, a random subset is used.
    memory
        Bytes for the features of one layer, and for the matrices computed from them. If one layer
        needs more, fewer examples are used. If all layers together need more, files are used.
    gap_examples, gap_ratios
        Maximum number of examples for the interpolation gap, 0 to skip it, and the mixing ratios.

    seed
        Seed of all random choices. The global generators are also seeded during the profile.
    progress
        If True, show a progress bar on stderr if it is a terminal.

    Returns
    -------
    Profile
        Result that prints as a table, with `to_frame`, `to_json`, `to_csv` and `plot`.

    Raises
    ------
    InputError
        If the data have fewer than two classes with two examples, a mix point or quantity is
        invalid, too few examples fit into `memory`, or a setting is out of range.

    Examples
    --------
    >>> import torch, layermix as lm
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> found = lm.profile(model, (torch.randn(60, 4), torch.arange(60) % 3), ["input", "final"])
    >>> found["final"].values["gap"] < 1e-6
    True
    """
    model = as_module(model)
    _check(max_examples=(max_examples, 4), batch_size=(batch_size, 2), memory=(memory, 1))
    _check(seed=(seed, 0), gap_examples=(gap_examples, 2 if gap_examples else 0))
    quantities, batch_dim = quantity_names(quantities), checked(batch_dim)
    mixed = gap_examples if GAP_QUANTITIES.keys() & set(quantities) else 0
    inner = unwrap(model)
    with _seeded(seed), closing(_Bar(progress)) as bar:
        padding = getattr(getattr(inner, "config", None), "pad_token_id", None) or 0
        chosen = choose_examples(data, max_examples, seed, padding, ignore_index, batch_dim)
        setup = set_up(inner, chosen, at, pool, memory, mixed > 0)
        n, cuts = len(setup.examples), [row.name for row in setup.rows if row.obstacle is None]
        mixed = min(mixed, n)
        mixes = -(-mixed // batch_size) * (1 + len(cuts) * len(gap_ratios))
        bar.steps = mixes + -(-n // batch_size) + len(setup.rows)
        gaps: dict[str, Gap] = {}
        if mixed and cuts:
            gaps = interpolation_gap(
                model,
                on_device(first(setup.examples.x, mixed, batch_dim), setup.device),
                setup.examples.labels[:mixed].to(setup.device),
                cuts,
                ratios=gap_ratios,
                batch_size=batch_size,
                batch_dim=batch_dim,
                seed=seed,
                on_forward=lambda: bar.step("mixing"),
            )
        run = (inner, setup.examples, setup.sites, setup.poolings, batch_size, memory)
        with all_features(*run, bar.step) as features:
            found = []
            for row in setup.rows:
                bar.step(f"measuring {row.name}")
                gap = gaps.get(row.name)
                found.append(_layer(row, setup, features.pop(row.name), quantities, gap))
    _, counts = setup.examples.labels.unique(return_counts=True)
    broken = {layer.point: why for layer, why in found if why}
    return Profile(
        tuple(layer for layer, _ in found),
        type(inner).__name__,
        n=n,
        mixed=mixed,
        classes=len(counts),
        chance=chance_level(counts),
        ratios=tuple(gap_ratios) if mixed else (),
        notices=(*setup.notices, *missing_values(setup, quantities, gaps, broken)),
    )


def _check(**settings: tuple[int, int]) -> None:
    for name, (value, least) in settings.items():
        if not isinstance(value, int) or value < least:
            raise InputError(
                f"{name} is {brief(value)}, but must be a whole number, {least} or more"
            )


def _layer(
    row: MixPoint, setup: ProfileSetup, x: Tensor, quantities: tuple[str, ...], gap: Gap | None
) -> tuple[LayerProfile, str | None]:
    """Measure a layer; return its profile, and the reason if it has NaN or infinite features."""
    x, pooling = x.to(setup.device), setup.poolings[row.name]
    about = (row.name, row.kind, row.module, row.shape or (), str(pooling), pooling.features)
    if why := not_finite(x):
        return LayerProfile(*about, dict.fromkeys(quantities, math.nan)), why
    layer = LayerFeatures(x, setup.examples.labels)
    values = measure_layer(layer, gap, quantities)
    snnl = layer_snnl(layer) if "snnl" in quantities else None
    return LayerProfile(*about, values, *((*snnl, snnl.standard_error) if snnl else ())), None


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators inside the block; data loaders and some models use them."""
    python, arrays = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)


class _Bar:
    """Progress bar on stderr, which is shown only on a terminal."""

    def __init__(self, wanted: bool) -> None:
        self.steps, self._done = 1, 0
        self._shown = wanted and sys.stderr is not None and sys.stderr.isatty()
        self._write("reading examples")

    def step(self, text: str) -> None:
        self._done += 1
        self._write(f"{self._done / self.steps:4.0%} {text}")

    def close(self) -> None:
        self._write("")

    def _write(self, line: str) -> None:
        if self._shown:
            width = shutil.get_terminal_size().columns - 1
            print(f"{line[:width]:<{width}}", end="\r", file=sys.stderr, flush=True)

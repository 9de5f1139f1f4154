"""Settings that are invalid or would be ignored raise an error in the constructor."""

import json
import math
import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import layermix as lm
from layermix.mixing import (
    Aligned,
    AppendClean,
    Cut,
    Farthest,
    Fourier,
    Grid,
    LabelKernel,
    MultiMix,
    Nearest,
    Noisy,
    Patches,
    PlanSampler,
    Ramp,
    Remix,
    Transport,
    Window,
)

WHOLE = "must be a whole number >= 1"
POSITIVE = "must be a finite number > 0"
NOT_NEGATIVE = "must be a finite number >= 0"
SHARE = r"must be a number in \[0, 1\]"
ROWS = r"must be a blend that keeps the batch size, such as layermix.mixing.Cut\(\)"
INVALID: list[tuple[Any, dict[str, Any], str]] = [
    *((MultiMix, {"k": k}, WHOLE) for k in (0, -1, 2.5, True, "8")),
    *(
        (MultiMix, {name: bad}, POSITIVE)
        for name in ("low", "high")
        for bad in (0, -1, math.nan, None)
    ),
    (MultiMix, {"low": 2.0, "high": 1.0}, "must be no more than high, 1.0"),
    *((Aligned, {"entropy": bad}, POSITIVE) for bad in (0, -0.1, math.inf, math.nan)),
    (Aligned, {"iterations": 0}, WHOLE),
    *((Fourier, {"decay": bad}, NOT_NEGATIVE) for bad in (math.nan, math.inf, -1)),
    *((Patches, {"share": bad}, SHARE) for bad in (-0.1, 1.1, math.nan)),
    (Patches, {"block": 0}, WHOLE),
    (Noisy, {"additive": -0.1}, NOT_NEGATIVE),
    (Noisy, {"multiplicative": math.nan}, NOT_NEGATIVE),
    *((Grid, {"cells": bad}, WHOLE) for bad in (0, 2.0)),
    *((AppendClean, {"eta": bad}, NOT_NEGATIVE) for bad in (-1, math.nan)),
    *((AppendClean, {"blend": bad}, ROWS) for bad in (MultiMix(), AppendClean(), "cut", Cut)),
    *((kind, {"k": 0}, WHOLE) for kind in (Nearest, Farthest, Transport)),
    *((LabelKernel, {"bandwidth": bad}, POSITIVE + ", or None for") for bad in (0, -1, math.nan)),
    *((Remix, {"counts": (1, 2), "kappa": bad}, "must be a finite number >= 1") for bad in (0, -3)),
    *((Remix, {"counts": (1, 2), "tau": bad}, SHARE) for bad in (-0.1, 1.5, math.nan)),
]


@pytest.mark.parametrize(("kind", "settings", "rule"), INVALID)
def test_invalid_setting_raises_an_error(kind: Any, settings: dict[str, Any], rule: str) -> None:
    name, value = next(item for item in settings.items() if item[0] != "counts")
    text = f"^{name} of {kind.__name__} is {re.escape(repr(value))}, but {rule}"
    with pytest.raises(lm.InputError, match=text):
        kind(**settings)


def test_boundary_values_are_accepted() -> None:
    MultiMix(k=np.int64(1), low=1, high=1)  # pyright: ignore[reportArgumentType]
    Patches(share=0), Patches(share=1.0, block=1), Noisy(0, 0), AppendClean(eta=0), Fourier(decay=0)  # pyright: ignore[reportUnusedExpression]


@pytest.mark.parametrize("counts", [(), (3, -1), (3, math.nan), ("3",)])
def test_remix_rejects_invalid_counts(counts: Any) -> None:
    with pytest.raises(lm.InputError, match=r"^counts are .* but Remix needs the number of train"):
        Remix(counts)


def test_remix_accepts_counts_as_list_tensor_or_array() -> None:
    kinds: list[Any] = [[3, 1], torch.tensor([3, 1]), np.array([3, 1])]
    assert {Remix(counts) for counts in kinds} == {Remix((3, 1))}


IGNORED: list[tuple[dict[str, Any], str]] = [
    ({"alpha": 1.0}, "alpha=1.0"),
    ({"ratio": 0.3}, "ratio=0.3"),
    ({"per": "sample"}, "per='sample'"),
    ({"partner": "other_class"}, r"partner=OtherClass\(\)"),
    ({"remix": Remix((1, 2))}, r"remix=Remix\(counts=\(1, 2\)"),
    ({"cross_rank": True}, "cross_rank=True"),
    ({"alpha": 1.0, "partner": Nearest(k=2)}, r"alpha=1.0, partner=Nearest\(k=2\)"),
]


@pytest.mark.parametrize(("settings", "part"), IGNORED)
def test_multimix_rejects_settings_that_it_would_ignore(
    settings: dict[str, Any], part: str
) -> None:
    text = rf"^the blend MultiMix\(k=8, .*\) mixes the whole batch .*, so that {part}.* would be ig"
    with pytest.raises(lm.InputError, match=text):
        PlanSampler(["final"], blend="multimix", **settings)


def test_multimix_accepts_explicit_default_settings() -> None:
    sampler = PlanSampler(["final"], blend="multimix", per="batch", partner="permutation", prob=0.5)
    assert sampler.draw(3).batch_size == 3
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2))
    with pytest.raises(lm.InputError, match="cross_rank=True would be ignored"):
        lm.Mixer(model, blend=MultiMix(), cross_rank=True)


EPOCH_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"per": "epoch"}, "per='epoch'"),
    ({"alpha": Ramp(1.0, 2.0, over=3)}, r"alpha=Ramp\(.*\)"),
    ({"prob": Window(stop=3)}, r"prob=Window\(.*\)"),
    ({"weights": Ramp((1.0, 0.0), (0.0, 1.0), over=3)}, r"weights=Ramp\(.*\)"),
]


@pytest.mark.parametrize(("settings", "part"), EPOCH_SETTINGS)
def test_epoch_settings_warn_once_without_set_epoch(settings: dict[str, Any], part: str) -> None:
    sampler = PlanSampler(["input", "final"], **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(200):
            sampler.draw(4)
    assert len(caught) == 1
    text = rf"^10 steps were drawn, but {part} depends on the epoch: call mixer.set_epoch"
    assert re.match(text, str(caught[0].message))


@pytest.mark.parametrize(
    "settings",
    [{}, {"per": "epoch", "ratio": 0.5}, {"alpha": Ramp(1.0, 2.0, over=3, unit="step")}],
)
def test_settings_without_epochs_do_not_warn(settings: dict[str, Any]) -> None:
    sampler = PlanSampler(["input"], **settings)
    for _ in range(60):
        sampler.draw(1)  # warnings are errors


@pytest.mark.parametrize(("settings", "part"), EPOCH_SETTINGS)
def test_epoch_settings_do_not_warn_after_set_epoch(settings: dict[str, Any], part: str) -> None:
    sampler = PlanSampler(["input", "final"], **settings)
    sampler.set_epoch(0)
    for _ in range(60):
        sampler.draw(1)


@pytest.mark.parametrize("seed", [-1, 1.0, "0", True, torch.Generator(), np.random.default_rng(0)])
def test_invalid_seed_raises_an_error(seed: Any) -> None:
    text = f"^the seed is {re.escape(repr(seed))}, but must be a whole number >= 0, or None"
    with pytest.raises(lm.InputError, match=text):
        PlanSampler(["final"], seed=seed)


def test_numpy_integer_is_accepted_as_seed() -> None:
    sampler, plain = (PlanSampler(["final"], seed=seed) for seed in (np.int64(3), 3))  # pyright: ignore[reportArgumentType]
    assert sampler.draw(4).partner.equal(plain.draw(4).partner)
    assert json.loads(json.dumps(sampler.state_dict()))["seed"] == 3


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, np.float32])
def test_weights_accept_any_sequence_or_array(kind: Any) -> None:
    sampler = PlanSampler(["input", "final"], weights=kind([1, 3]))
    assert sampler.methods[0].points.weights == {"input": 0.25, "final": 0.75}
    json.dumps(sampler.state_dict())


@pytest.mark.parametrize("weights", ["ab", np.ones((2, 2)), np.ones(3), [True, False], 3.0])
def test_invalid_weights_raise_an_error(weights: Any) -> None:
    with pytest.raises(lm.InputError, match=r"^weights are .* but 2 mix points need 2 numbers >="):
        PlanSampler(["input", "final"], weights=weights)

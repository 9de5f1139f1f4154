"""Properties of every plan, with generated blends, partners, ratios, shapes, dtypes and layouts.

The tests generate more than 2,000 cases in total.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import layermix as lm
from layermix.mixing import (
    BLENDS,
    PARTNERS,
    AppendClean,
    Blend,
    MultiMix,
    Patches,
    PlanSampler,
    Ramp,
    Window,
)

EXAMPLES = settings(max_examples=420, deadline=None, derandomize=True)
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
# Shapes of one example with channels first, and the blends for vectors and for maps only.
SHAPES: list[tuple[int, ...]] = [(5,), (3, 7), (4, 6, 6), (2, 5, 9), (3, 1, 1), (2, 3, 4, 4)]
VECTORS = ["linear", "noisy", "moment_exchange", "multimix", "append_clean"]
MAPS_ONLY = ["resize", "salient"]
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
SETTINGS: list[str | Blend] = [Patches(soft=False), MultiMix(k=2), *BLENDS]


class Case:
    """A sampler, a batch that it can mix, and the plan for this batch."""

    def __init__(self, x: Tensor, channels: int, labels: Tensor, **options: Any) -> None:
        self.x, self.channels, self.labels, self.options = x, channels, labels, options
        self.plan = self.draw(self.sampler())

    def sampler(self) -> PlanSampler:
        return PlanSampler(["input", "final"], **self.options)

    def draw(self, sampler: PlanSampler) -> lm.Plan:
        return sampler.draw(len(self.x), labels=self.labels, inputs=self.x)

    def mix(self, plan: lm.Plan | None = None) -> Tensor:
        return lm.mix(self.x, self.plan if plan is None else plan, channels=self.channels)


@st.composite
def cases(draw: st.DrawFn, blends: Sequence[str | Blend] = SETTINGS) -> Case:
    size, seed = draw(st.integers(1, 17)), draw(st.integers(0, 2**31))
    blend, shape = draw(st.sampled_from(blends)), draw(st.sampled_from(SHAPES))
    if len(shape) == 1 and not isinstance(blend, MultiMix) and blend not in VECTORS:
        shape = (4, 6, 6)
    if blend in MAPS_ONLY and len(shape) != 3:
        shape = (2, 5, 9)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, *shape, generator=generator).to(draw(st.sampled_from(DTYPES)))
    channels = draw(st.sampled_from([1, -1]))
    x = x.movedim(1, channels)
    if x.ndim in CHANNELS_LAST and channels == 1 and draw(st.booleans()):
        x = x.contiguous(memory_format=CHANNELS_LAST[x.ndim])
    pairs: dict[str, Any] = {
        "partner": draw(st.sampled_from(list(PARTNERS))),
        "per": draw(st.sampled_from(["batch", "sample", "epoch"])),
        "alpha": draw(st.sampled_from([0.1, 1.0, 4.0, Ramp(4.0, 0.5, over=3, unit="step")])),
    }
    return Case(
        x,
        channels,
        torch.randint(3, (size,), generator=generator),
        blend=blend,
        **({} if blend == "multimix" or isinstance(blend, MultiMix) else pairs),
        prob=draw(st.sampled_from([1.0, 0.5, Window(start=1, unit="step")])),
        seed=seed,
    )


@EXAMPLES
@given(cases())
def test_inputs_and_global_generators_are_not_modified(case: Case) -> None:
    before = case.x.clone(), torch.get_rng_state(), np.random.get_state(legacy=False)
    sampler = case.sampler()
    case.mix(case.draw(sampler))
    assert case.x.equal(before[0])
    assert torch.get_rng_state().equal(before[1])
    np.testing.assert_equal(np.random.get_state(legacy=False), before[2])


@EXAMPLES
@given(cases())
def test_mix_preserves_dtype_shape_and_memory_format(case: Case) -> None:
    mixed = case.mix()
    assert mixed.dtype == case.x.dtype
    assert mixed.shape[1:] == case.x.shape[1:]
    assert mixed.isfinite().all()
    if not case.plan.blend.changes_batch_size:
        assert mixed.shape == case.x.shape
        formats = [
            torch.contiguous_format,
            *([CHANNELS_LAST[case.x.ndim]] if case.x.ndim in CHANNELS_LAST else []),
        ]
        for layout in formats:
            if case.x.is_contiguous(memory_format=layout):
                assert mixed.is_contiguous(memory_format=layout)


@EXAMPLES
@given(cases([name for name in BLENDS if name != "multimix"]))
def test_ratio_one_returns_inputs_and_labels(case: Case) -> None:
    plan = replace(case.plan, ratio=torch.ones_like(case.plan.ratio))
    mixed, target = lm.mix(case.x, plan, case.labels, channels=case.channels)
    assert mixed[-len(case.x) :].equal(case.x)
    soft = target.dense(3)[-len(case.x) :]
    assert soft.equal(torch.nn.functional.one_hot(case.labels, 3).to(soft))


@EXAMPLES
@given(cases())
def test_soft_labels_of_a_target_sum_to_one(case: Case) -> None:
    mixed, target = lm.mix(case.x, case.plan, case.labels, channels=case.channels)
    soft = target.dense(3)
    assert soft.shape == (len(mixed), 3)
    assert (soft >= 0).all()
    torch.testing.assert_close(soft.sum(1), torch.ones(len(soft)))
    logits = torch.randn(len(mixed), 3)
    expected = torch.nn.functional.cross_entropy(logits, soft)
    if not isinstance(case.plan.blend, AppendClean):
        torch.testing.assert_close(target.loss(logits), expected)


@EXAMPLES
@given(cases(["cut", "fourier", "grid", "resize", "salient", Patches(soft=False)]))
def test_mask_area_equals_label_weight(case: Case) -> None:
    ones = replace(case.plan, partner=torch.arange(len(case.x)).roll(1))
    pattern = torch.arange(len(case.x)).view(-1, *[1] * (case.x.ndim - 1)).expand(case.x.shape)
    mixed, target = lm.mix(pattern.double(), ones, case.labels, channels=case.channels)
    assert isinstance(target, lm.MixedTarget)
    own = (mixed == pattern).double().flatten(1).mean(1)
    if len(case.x) > 1:
        torch.testing.assert_close(target.ratio.double().expand(len(own)), own)


@EXAMPLES
@given(cases(), st.integers(0, 4))
def test_resumed_sampler_continues_the_same_draws(case: Case, steps: int) -> None:
    first, resumed = case.sampler(), case.sampler()
    for _ in range(steps):
        case.draw(first)
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    one, other = case.draw(first), case.draw(resumed)
    assert (one.point, one.blend) == (other.point, other.blend)
    assert one.ratio.equal(other.ratio)
    assert one.partner.equal(other.partner)
    assert case.mix(one).equal(case.mix(other))
    if steps == 0:
        assert case.mix(one).equal(case.mix(case.plan))

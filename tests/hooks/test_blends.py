"""Tests that each blend equals a float64 reference at each mix point of three models.

Output, target and gradients are compared. All registered blends are tested; each needs a reference
in `blend_references`.
"""

import copy
import functools
from typing import Any

import pytest
import torch
from test_reference import CASES, assert_same, assert_same_models
from torch import Tensor, nn

import layermix as lm
from blend_references import POSITIONS, REFERENCES, Mixed
from layermix.mixing import BLENDS, MultiMix, Patches, Per
from tiny_nets import NETS, batch

# Points inside residual branches are not cuts; the blends are tested there too.
pytestmark = pytest.mark.filterwarnings("ignore:some mix points are not cuts")

TOKENS = {"blocks.0", "blocks.1", "patch_embed", "blocks.0.attn", "norm", "blocks.1.mlp"}
TOKENS |= {"blocks.1.norm2"}  # ViT points with channels last

CONFIGURED: dict[str, Any] = {
    "patches, hard": Patches(soft=False),
    "many, dense": MultiMix(dense=True),
}
ALL = {name: name for name in BLENDS} | CONFIGURED


def name_of(blend: Any) -> str:
    """Return the registered name of a blend."""
    return (
        blend if isinstance(blend, str) else next(n for n, c in BLENDS.items() if type(blend) is c)
    )


def as_blend(blend: Any) -> Any:
    return BLENDS[blend]() if isinstance(blend, str) else blend


def supported_positions(blend: Any, dims: int) -> tuple[int, ...]:
    """Return the numbers of position dimensions that a blend supports."""
    if isinstance(blend, MultiMix) and blend.dense:
        return 1, 2, 3
    return POSITIONS.get(name_of(blend), (dims,))


def channels_last(net: str, point: str, a: Tensor) -> bool:
    return a.ndim == 3 and net == "vit" and point in TOKENS


def reference_forward(
    net: str, model: nn.Module, x: Tensor, plan: lm.Plan
) -> tuple[Tensor, Tensor]:
    """Run the reference forward with mixing; return the output and the label weights."""
    found: list[Tensor] = []

    def at(name: str, a: Tensor) -> Tensor:
        if name != plan.point:
            return a
        last = channels_last(net, name, a) or a.ndim == 2 or name_of(plan.blend) == "noisy"
        blend = as_blend(plan.blend)
        mixed: Mixed = REFERENCES[name_of(plan.blend)](a if last else a.movedim(1, -1), plan, blend)
        found.append(mixed.weights)
        return mixed.values if last else mixed.values.movedim(-1, 1)

    output = NETS[net][1](model, x, at)
    return output, found[0]


def is_supported(net: str, point: str, blend: Any) -> bool:
    """Return False if later layers cannot use the changed batch size of a blend."""
    if name_of(blend) not in ("multimix", "append_clean"):
        return True
    inside = {"stage1.1.bn1", "stage2.0.conv2", "stage2.0.shortcut", "blocks.0.attn"}
    inside |= {"blocks.1.mlp", "blocks.1.norm2"}
    if isinstance(blend, MultiMix) and net == "vit":
        inside |= {"input", "patch_embed"}  # later layers require the original number of positions
    return point not in inside


@functools.cache
def position_dims(net: str, point: str) -> int:
    """Return the number of position dimensions of an activation."""
    model, (x, _) = NETS[net][0](), batch(net, 4)
    return max(lm.activations(model, x, point)[point].ndim - 2, 0)


def per_of(blend: Any, turn: int) -> Per:
    """Alternate between "batch" and "sample"; multimix draws no ratio and needs "batch"."""
    return "sample" if turn % 2 and name_of(blend) != "multimix" else "batch"


SOME = [case for net in NETS for case in [c for c in CASES if c[0] == net][::2]]
BLEND_CASES = [  # every second mix point by default, all of them as slow tests
    pytest.param(
        *(net, point, blend, per_of(blend, i + j)),
        id=f"{net}-{point}-{name}",
        marks=[] if (net, point) in SOME else pytest.mark.slow,
    )
    for i, (net, point) in enumerate(CASES)
    for j, (name, blend) in enumerate(ALL.items())
    if is_supported(net, point, blend)
]


def reference_loss(output: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted cross-entropy: the mean over rows, for 2B rows the sum of two means."""
    logp = output.log_softmax(1)[:, y]  # (N, B)
    rows = -(weights * logp).sum(1)
    return rows.mean() if len(rows) % len(y) or len(rows) != 2 * len(y) else 2 * rows.mean()


@pytest.mark.parametrize(("net", "point", "blend", "per"), BLEND_CASES)
def test_output_target_and_gradients_equal_the_reference(
    net: str, point: str, blend: Any, per: Per
) -> None:
    model, (x, y) = NETS[net][0]().double(), batch(net, 4, torch.float64)
    twin = copy.deepcopy(model)
    mixer = lm.Mixer(model, at=point, blend=blend, per=per, seed=3, allow_partial=True)
    plan = lm.Mixer(copy.deepcopy(model), at=point, blend=blend, per=per, seed=3).draw(4)
    dims = position_dims(net, point)
    if dims not in supported_positions(blend, dims):
        with pytest.raises(lm.InputError, match=f"^at mix point '{point}': an activation of shape"):
            mixer(x, y)
        return

    output, target = mixer(x, y)
    loss = target.loss(output)
    loss.backward()

    expected, weights = reference_forward(net, twin, x, plan)
    expected_loss = reference_loss(expected, y, weights)
    expected_loss.backward()
    soft = weights @ torch.nn.functional.one_hot(y, 5).double()
    assert_same(output, expected)
    assert_same(target.dense(5).double(), soft)
    assert_same(loss, expected_loss)
    assert_same_models(model, twin)


def test_every_blend_has_a_reference() -> None:
    assert set(REFERENCES) == set(BLENDS), "add a reference of the new blend to blend_references"


def test_flattened_images_have_channels_in_dim_1() -> None:
    """The first layer has 3 * 6 * 5 input features, which do not determine the layout."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 6 * 5, 4)).train()
    mixer, images = lm.Mixer(model, at="input", blend="cut"), torch.randn(4, 3, 6, 5)
    plan = mixer.draw(4)
    with mixer.apply(plan):
        output = model(images)
    torch.testing.assert_close(output, model(lm.mix(images, plan, channels=1)))


@pytest.mark.parametrize("blend", ["multimix", "append_clean"])
def test_changed_batch_size_inside_a_residual_branch_raises(blend: str) -> None:
    net, (x, y) = NETS["resnet"][0](), batch("resnet", 4)
    with pytest.raises(lm.RunError) as error:
        lm.Mixer(net, at="stage1.0.bn2", blend=blend, allow_partial=True)(x, y)
    assert str(error.value) == (
        "the forward pass failed after mix point 'stage1.0.bn2': the blend "
        f"{BLENDS[blend]()!r} returns more rows than the batch of 4 has, and later layers fail on "
        "them. Mix at a point after which no layer uses other tensors of the batch, such as "
        "'final', and not inside a residual branch"
    )


def test_moment_exchange_with_one_channel_raises() -> None:
    plan = lm.Plan("input", torch.tensor(0.9), torch.tensor([1, 0]), blend="moment_exchange")
    with pytest.raises(lm.InputError) as error:
        lm.mix(torch.randn(2, 1, 8, 8), plan)
    assert str(error.value) == (
        "an activation of shape (2, 1, 8, 8) has one channel, so that an exchange of moments "
        "over channels would return the partner: mix at a point with more channels, or with "
        "another blend"
    )

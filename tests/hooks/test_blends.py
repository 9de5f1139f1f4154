"""Every blend, at every point of three nets, equals a forward written out by hand in float64.

Output, target and gradients are compared. A blend that is registered is tested here by itself; it
needs a reference in `blend_references`.
"""

import copy
from typing import Any

import pytest
import torch
from test_reference import CASES, assert_same, assert_same_models
from torch import Tensor, nn

import layermix as lm
from blend_references import POSITIONS, REFERENCES, Mixed
from layermix.mixing import BLENDS, MultiMix, Patches, Per
from tiny_nets import NETS, batch

# Inside residual branches nothing is wholly mixed; each blend is the same there.
pytestmark = pytest.mark.filterwarnings("ignore:some mix points are not cuts")

TOKENS = {"blocks.0", "blocks.1", "patch_embed", "blocks.0.attn", "norm", "blocks.1.mlp"}
TOKENS |= {"blocks.1.norm2"}  # of the ViT: channels last

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


def settings_of(blend: Any) -> Any:
    return BLENDS[blend]() if isinstance(blend, str) else blend


def positions_of(blend: Any, dims: int) -> tuple[int, ...]:
    """Return how many dimensions of positions a blend can mix."""
    if isinstance(blend, MultiMix) and blend.dense:
        return 1, 2, 3
    return POSITIONS.get(name_of(blend), (dims,))


def channels_last(net: str, point: str, a: Tensor) -> bool:
    return a.ndim == 3 and net == "vit" and point in TOKENS


def by_hand(net: str, model: nn.Module, x: Tensor, plan: lm.Plan) -> tuple[Tensor, Tensor]:
    """Run the written-out forward, mixed by the reference; return output and label weights."""
    found: list[Tensor] = []

    def at(name: str, a: Tensor) -> Tensor:
        if name != plan.point:
            return a
        last = channels_last(net, name, a) or a.ndim == 2 or name_of(plan.blend) == "noisy"
        blend = settings_of(plan.blend)
        mixed: Mixed = REFERENCES[name_of(plan.blend)](a if last else a.movedim(1, -1), plan, blend)
        found.append(mixed.weights)
        return mixed.values if last else mixed.values.movedim(-1, 1)

    output = NETS[net][1](model, x, at)
    return output, found[0]


def ends(net: str, point: str, blend: Any) -> bool:
    """Tell whether a blend that returns more rows can: nothing else of the batch comes in after."""
    if name_of(blend) not in ("multimix", "append_clean"):
        return True
    inside = {"stage1.1.bn1", "stage2.0.conv2", "stage2.0.shortcut", "blocks.0.attn"}
    inside |= {"blocks.1.mlp", "blocks.1.norm2"}
    if isinstance(blend, MultiMix) and net == "vit":
        inside |= {"input", "patch_embed"}  # what follows wants as many positions as there were
    return point not in inside


def per_of(blend: Any, turn: int) -> Per:
    """Return batch and sample by turns; a blend of the whole batch has no ratio to draw."""
    return "sample" if turn % 2 and name_of(blend) != "multimix" else "batch"


CASES_OF_BLENDS = [
    pytest.param(net, point, blend, per_of(blend, i + j), id=f"{net}-{point}-{name}")
    for i, (net, point) in enumerate(CASES)
    for j, (name, blend) in enumerate(ALL.items())
    if ends(net, point, blend)
]


def loss_by_hand(output: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy with every label weighted: the mean over rows, of 2B the sum of two means."""
    logp = output.log_softmax(1)[:, y]  # (N, B)
    rows = -(weights * logp).sum(1)
    return rows.mean() if len(rows) % len(y) or len(rows) != 2 * len(y) else 2 * rows.mean()


@pytest.mark.parametrize(("net", "point", "blend", "per"), CASES_OF_BLENDS)
def test_output_target_and_gradients_equal_the_reference(
    net: str, point: str, blend: Any, per: Per
) -> None:
    model, (x, y) = NETS[net][0]().double(), batch(net, 4, torch.float64)
    twin = copy.deepcopy(model)
    mixer = lm.Mixer(model, at=point, blend=blend, per=per, seed=3, allow_partial=True)
    plan = lm.Mixer(copy.deepcopy(model), at=point, blend=blend, per=per, seed=3).draw(4)
    dims = max(len(lm.activations(model, x, point)[point].shape) - 2, 0)
    if dims not in positions_of(blend, dims):
        with pytest.raises(lm.InputError, match=f"^at mix point '{point}': an activation of shape"):
            mixer(x, y)
        return

    output, target = mixer(x, y)
    loss = target.loss(output)
    loss.backward()

    expected, weights = by_hand(net, twin, x, plan)
    expected_loss = loss_by_hand(expected, y, weights)
    expected_loss.backward()
    soft = weights @ torch.nn.functional.one_hot(y, 5).double()
    assert_same(output, expected)
    assert_same(target.dense(5).double(), soft)
    assert_same(loss, expected_loss)
    assert_same_models(model, twin)


def test_every_blend_has_a_reference() -> None:
    assert set(REFERENCES) == set(BLENDS), "write the new blend out in blend_references"


def test_images_that_a_model_flattens_keep_their_channels_second() -> None:
    """The first layer takes 3 * 6 * 5 features, which tells nothing of the images."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 6 * 5, 4)).train()
    mixer, images = lm.Mixer(model, at="input", blend="cut"), torch.randn(4, 3, 6, 5)
    plan = mixer.draw(4)
    with mixer.apply(plan):
        output = model(images)
    torch.testing.assert_close(output, model(lm.mix(images, plan, channels=1)))


@pytest.mark.parametrize("blend", ["multimix", "append_clean"])
def test_more_rows_inside_a_residual_branch_are_an_error_that_says_so(blend: str) -> None:
    net, (x, y) = NETS["resnet"][0](), batch("resnet", 4)
    with pytest.raises(lm.RunError) as error:
        lm.Mixer(net, at="stage1.0.bn2", blend=blend, allow_partial=True)(x, y)
    assert str(error.value) == (
        "the forward pass failed after mix point 'stage1.0.bn2': the blend "
        f"{BLENDS[blend]()!r} returns more rows than the batch of 4 has, and later layers fail on "
        "them. Mix at a point after which no layer uses other tensors of the batch, such as "
        "'final', and not inside a residual branch"
    )


def test_moments_over_one_channel_are_refused() -> None:
    plan = lm.Plan("input", torch.tensor(0.9), torch.tensor([1, 0]), blend="moment_exchange")
    with pytest.raises(lm.InputError) as error:
        lm.mix(torch.randn(2, 1, 8, 8), plan)
    assert str(error.value) == (
        "an activation of shape (2, 1, 8, 8) has one channel, so that an exchange of moments "
        "over channels would return the partner: mix at a point with more channels, or with "
        "another blend"
    )

"""Tests of one_graph=True: results equal to the default, and one compilation for all points."""

import copy
from dataclasses import replace
from typing import Any

import across_worker
import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.checkpoint import checkpoint

import layermix as lm
from layermix.mixing import BLENDS, Per
from mixed_step import step
from tiny_blends import TINY
from tiny_nets import NETS, Mlp, batch

POINTS = {
    "mlp": ["input", "blocks.0", "blocks.1", "final", "logits"],
    "resnet": ["input", "stage1.0", "stage1", "stage2"],
    "vit": ["blocks.0", "blocks.1"],
}
ANY_SHAPE = ["linear", "noisy"]
OF_MAPS = ["resize", "salient"]
WITH_POSITIONS = [name for name in TINY if name not in ("multimix", "append_clean")]


def mixer_pair(net: str, blend: Any = "linear", **options: Any) -> tuple[lm.Mixer, lm.Mixer]:
    """Return mixers of two equal models: the default, and with one_graph=True."""
    one = NETS[net][0]().double()
    other = copy.deepcopy(one)
    options = {"at": POINTS[net], "blend": blend, "seed": 3, **options}
    return lm.Mixer(one, **options), lm.Mixer(other, one_graph=True, **options)


@pytest.mark.parametrize("per", ["batch", pytest.param("sample", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("net", "blend"),
    [("mlp", blend) for blend in ANY_SHAPE]
    + [("resnet", blend) for blend in WITH_POSITIONS]
    + [("vit", blend) for blend in WITH_POSITIONS if blend not in OF_MAPS],
)
def test_one_graph_equals_the_default_hooks(net: str, blend: str, per: Per) -> None:
    default, one_graph = mixer_pair(net, TINY[blend], per=per)
    x, y = batch(net, 5, torch.float64)
    for _ in range(6):
        torch.testing.assert_close(
            step(one_graph, x, y), step(default, x, y), rtol=1e-9, atol=1e-12
        )


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize(
    ("net", "blend", "per"),
    [
        pytest.param("mlp", "linear", "batch", marks=pytest.mark.slow),
        pytest.param("resnet", "linear", "sample", marks=pytest.mark.slow),
        pytest.param("resnet", "cut", "batch", marks=pytest.mark.slow),
        ("vit", "cut", "sample"),
    ],
)
def test_one_graph_compiles_once_for_random_points(net: str, blend: str, per: Per) -> None:
    default, one_graph = mixer_pair(net, blend, per=per)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(one_graph.model, backend=counter, fullgraph=True)
    x, y = batch(net, 5, torch.float64)
    one_graph.check(x)
    frames = []
    for point in 2 * POINTS[net]:
        plan = replace(default.draw(5), point=point)
        expected = loss_and_gradients(default, default.model, plan, x, y)
        found = loss_and_gradients(one_graph, compiled, plan, x, y)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
        frames.append(counter.frame_count)
    # torch compiles a separate graph for each hook of the whole model.
    assert set(frames) == {1 + len({"input", "logits"} & set(POINTS[net]))}


def loss_and_gradients(
    mixer: lm.Mixer, model: Any, plan: lm.Plan, x: Tensor, y: Tensor
) -> list[Tensor]:
    """Run a step with a given plan; return its loss and gradients."""
    plan = replace(plan)  # a plan without label weights of an earlier step
    mixer.model.zero_grad()
    with mixer.apply(plan) as applied:
        output = model(x)
    loss = applied.target(y).loss(output)
    loss.backward()
    return [loss, *(p.grad.clone() for p in mixer.model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("reentrant", [True, False])
def test_recomputation_mixes_at_the_point_of_the_step(reentrant: bool) -> None:
    class Checkpointed(nn.Module):
        def __init__(self, net: Mlp) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Any:
            return checkpoint(self.net, x, use_reentrant=reentrant)

    net = Mlp().double()
    options: dict[str, Any] = {"at": ["net.blocks.0", "net.blocks.1"], "seed": 1}
    plain = lm.Mixer(copy.deepcopy(net), at=["blocks.0", "blocks.1"], seed=1)
    mixer = lm.Mixer(Checkpointed(net), one_graph=True, **options)
    x, y = batch("mlp", 6, torch.float64)
    x.requires_grad_()  # required by reentrant checkpointing
    for _ in range(4):
        torch.testing.assert_close(step(mixer, x, y), step(plain, x, y), rtol=1e-9, atol=1e-12)


def test_masks_are_united_only_after_the_point_of_the_step() -> None:
    net, (x, y), at = across_worker.model(), across_worker.data(), ["layers.0", "layers.1"]
    other = copy.deepcopy(net)
    default, one_graph = lm.Mixer(net, at=at), lm.Mixer(other, at=at, one_graph=True)
    for point in at:
        plan = lm.Plan(point, torch.tensor(0.3).double(), torch.arange(len(y)).roll(1))
        with default.apply(plan), one_graph.apply(plan):
            torch.testing.assert_close(other(**x), net(**x), rtol=1e-9, atol=1e-12)


def test_dropped_point_is_not_mixed() -> None:
    class Ids(nn.Module):  # integer input, so "input" is dropped
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(7, 4)
            self.blocks = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
            self.head = nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.blocks(self.embed(x)).mean(1))

    mixer = lm.Mixer(Ids(), at="auto", one_graph=True)
    output, _ = mixer(torch.randint(7, (4, 3)), torch.randint(5, (4,)))
    assert output.shape == (4, 5)
    assert list(mixer.dropped) == ["input"]


@pytest.mark.parametrize("blend", ["multimix", "append_clean"])
def test_blend_that_changes_the_batch_size_raises(blend: str) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(Mlp(), at=["blocks.0", "final"], blend=blend, one_graph=True)
    assert str(error.value) == (
        f"one of the blends [{BLENDS[blend]()!r}] changes the batch size, so that the shapes "
        "of later layers depend on the mix point: leave out one_graph"
    )

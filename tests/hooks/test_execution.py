"""Tests that each execution mode gives the gradients of the eager model on the whole batch.

A ResNet and a ViT are mixed at each kind of mix point: compiled, compiled with one graph for all
points, with both kinds of checkpointing, and on two processes with DDP and FSDP2, which use plans
for their halves of the batch.
"""

import functools
from typing import Any

import execution_worker as worker
import pytest
import torch
from execution_worker import CASES, EXAMPLES, POINTS, RANKS
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch.multiprocessing.spawn import spawn

import layermix as lm

EVERY_CASE = pytest.mark.parametrize(("net", "blend", "point"), CASES)
FAST = [("resnet", "cut", False), ("vit", "cut", True)]  # the other compiled cases are slow
Gradients = dict[str, Tensor]


def whole_plan(blend: str, point: str) -> lm.Plan:
    """Return the plan for the joined batch, joined from the plans of the processes."""
    parts = [worker.plan_of(rank, blend, point) for rank in range(RANKS)]
    partner = torch.cat([part.partner + rank * EXAMPLES for rank, part in enumerate(parts)])
    draws = {name: torch.cat([part.draws[name] for part in parts]) for name in parts[0].draws}
    return lm.Plan(point, torch.cat([part.ratio for part in parts]), partner, blend, draws)


@functools.cache
def eager_gradients(net: str, blend: str, point: str) -> Gradients:
    """Return the gradients of an eager step on the joined batch."""
    model = worker.model(net)
    mixer = lm.Mixer(model, at=point)
    return worker.step(mixer, model, whole_plan(blend, point), *worker.data())


def assert_same(found: Gradients, net: str, blend: str, point: str) -> None:
    expected = eager_gradients(net, blend, point)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize(
    ("net", "blend", "one_graph"),
    [
        pytest.param(*key, one, marks=[] if (*key, one) in FAST else pytest.mark.slow)
        for key in POINTS
        for one in (False, True)
    ],
)
def test_compiled_gradients_equal_eager_gradients(net: str, blend: str, one_graph: bool) -> None:
    model, points = worker.model(net), POINTS[net, blend]
    counter = CompileCounterWithBackend("aot_eager")
    mixer = lm.Mixer(model, at=points, blend=blend, one_graph=one_graph)
    mixer.check(worker.data()[0])
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    frames = []
    for point in 2 * points:
        found = worker.step(mixer, compiled, whole_plan(blend, point), *worker.data())
        assert_same(found, net, blend, point)
        frames.append(counter.frame_count)
    first, again = frames[: len(points)], frames[len(points) :]
    assert set(again) == {first[-1]}
    if one_graph:
        assert len(set(frames)) == 1


@pytest.mark.parametrize("reentrant", [True, False])
@EVERY_CASE
def test_checkpointed_gradients_equal_eager_gradients(
    net: str, blend: str, point: str, reentrant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("timm.models._manipulate.use_reentrant_ckpt", lambda: reentrant)
    model: Any = worker.model(net)
    model.set_grad_checkpointing(True)
    found = worker.step(lm.Mixer(model, at=point), model, whole_plan(blend, point), *worker.data())
    assert_same(found, net, blend, point)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return the saved gradients of two processes."""
    folder = tmp_path_factory.mktemp("execution")
    spawn(worker.train, (str(folder),), nprocs=RANKS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


@pytest.mark.parametrize("kind", ["data parallel", "sharded"])
@EVERY_CASE
def test_two_processes_equal_one_process_with_the_joined_batch(
    trained: list[dict[str, Any]], net: str, blend: str, point: str, kind: str
) -> None:
    for rank in trained:
        assert_same(rank[kind][net, blend, point], net, blend, point)


def test_probe_restores_a_sharded_model_whose_weights_are_gathered(
    trained: list[dict[str, Any]],
) -> None:
    assert all(rank["unchanged by a probe"] for rank in trained)

"""What `points` calls a cut is one by an independent computation, over generated networks.

See `generated_networks` for the networks.
"""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import layermix as lm
from generated_networks import EXAMPLES, Graph, Net, batch, graphs


def flat(output: Any) -> Tensor:
    outputs = output.values() if isinstance(output, dict) else output
    return torch.cat([o.flatten() for o in ([output] if isinstance(output, Tensor) else outputs)])


def ratio_zero(net: Net, x: dict[str, Tensor], layer: str, partner: Tensor) -> Tensor:
    """Return the output when a layer returns what it returns for the partners; own code."""
    handle = net.layers[layer].register_forward_hook(
        lambda _m, _a, output: (
            tuple(t if t is None else t[partner] for t in output[:1]) + output[1:]
            if isinstance(output, tuple)
            else output[partner]
        )
    )
    try:
        return flat(net(**x))
    finally:
        handle.remove()


def check(graph: Graph, x: dict[str, Tensor], lengths: bool) -> None:
    torch.manual_seed(0)
    net = Net(graph).double()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    rows = {row.name: row for row in lm.points(net, x, all=True)}
    listed = lm.points(net, x)
    assert all(value.equal(state[name]) for name, value in net.state_dict().items())
    with torch.no_grad():  # gates open as they do after the first step of training
        for name, layer in net.layers.items():
            if name.startswith("gate") and isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight)
    names = {node.layer for node in graph.nodes if node.layer}
    for layer in names:
        row, mean = rows[f"layers.{layer}"], lengths and not layer.startswith("head")
        expected = graph.is_cut(layer) and not mean
        if graph.calls(layer) > 1:
            assert str(row.obstacle).startswith(f"it is called {graph.calls(layer)} times")
            continue
        assert (row.cut == 0) == expected, (layer, row)
        refuse(net, x, row.name, expected)
        if expected and "padding_mask" not in x:
            partner = torch.arange(EXAMPLES).roll(1)
            moved = {name: value[partner] for name, value in x.items()}
            net.eval()
            got = ratio_zero(net, x, layer, partner)
            torch.testing.assert_close(got, flat(net(**moved)), rtol=1e-9, atol=1e-9)
            net.train()
    for row in listed:
        assert row.cut == 0
        assert row.name in ("input", "final", "logits") or graph.is_cut(row.name[7:])


def refuse(net: Net, x: dict[str, Tensor], point: str, expected: bool) -> None:
    """A point is mixed without an error exactly if it is a cut."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # masks that cannot be united
        with lm.Mixer(net, at=point) as mixer:
            if expected:
                mixer.check(x)
                return
            with pytest.raises(lm.InputError, match="bypasses it to the output"):
                mixer.check(x)


def hold(count: int, *strategies: Any, of: Callable[..., None]) -> None:
    """Check a property of so many generated networks, the same ones each time."""
    chosen = settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
    )
    seed(1)(chosen(given(*strategies)(of)))()


@pytest.mark.parametrize("count", [60, pytest.param(250, marks=pytest.mark.slow)])
def test_cuts_of_generated_networks(count: int) -> None:
    def of(graph: Graph) -> None:
        check(graph, batch(graph, lengths=False, masks=False), lengths=False)

    hold(count, graphs(sequence=False), of=of)


@pytest.mark.parametrize("count", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_cuts_of_generated_sequence_networks(count: int) -> None:
    def of(graph: Graph, lengths: bool, masks: bool) -> None:
        check(graph, batch(graph, lengths, masks), lengths)

    hold(count, graphs(sequence=True), st.booleans(), st.booleans(), of=of)

"""Tests that `points` finds exactly the cuts of generated networks.

The networks are defined in `generated_networks`.
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


def flatten_output(output: Any) -> Tensor:
    outputs = output.values() if isinstance(output, dict) else output
    return torch.cat([o.flatten() for o in ([output] if isinstance(output, Tensor) else outputs)])


def output_with_partner_activations(
    net: Net, x: dict[str, Tensor], layer: str, partner: Tensor
) -> Tensor:
    """Return the output with the output of a layer replaced by that of the partners."""
    handle = net.layers[layer].register_forward_hook(
        lambda _m, _a, output: (
            tuple(t if t is None else t[partner] for t in output[:1]) + output[1:]
            if isinstance(output, tuple)
            else output[partner]
        )
    )
    try:
        return flatten_output(net(**x))
    finally:
        handle.remove()


def check_cuts(graph: Graph, x: dict[str, Tensor], lengths: bool) -> None:
    torch.manual_seed(0)
    net = Net(graph).double()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    rows = {row.name: row for row in lm.points(net, x, all=True)}
    listed = lm.points(net, x)
    assert all(value.equal(state[name]) for name, value in net.state_dict().items())
    with torch.no_grad():  # open the gates, as after the first training step
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
        check_error(net, x, row.name, expected)
        if expected and "padding_mask" not in x:
            partner = torch.arange(EXAMPLES).roll(1)
            moved = {name: value[partner] for name, value in x.items()}
            net.eval()
            got = output_with_partner_activations(net, x, layer, partner)
            torch.testing.assert_close(got, flatten_output(net(**moved)), rtol=1e-9, atol=1e-9)
            net.train()
    for row in listed:
        assert row.cut == 0
        assert row.name in ("input", "final", "logits") or graph.is_cut(row.name[7:])


def check_error(net: Net, x: dict[str, Tensor], point: str, expected: bool) -> None:
    """Check that mixing at a point raises an error if and only if it is not a cut."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of masks that cannot be united
        with lm.Mixer(net, at=point) as mixer:
            if expected:
                mixer.check(x)
                return
            with pytest.raises(lm.InputError, match="bypasses it to the output"):
                mixer.check(x)


def check_property(count: int, *strategies: Any, of: Callable[..., None]) -> None:
    """Check a property on `count` generated networks, with a fixed seed."""
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
        check_cuts(graph, batch(graph, lengths=False, masks=False), lengths=False)

    check_property(count, graphs(sequence=False), of=of)


@pytest.mark.parametrize("count", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_cuts_of_generated_sequence_networks(count: int) -> None:
    def of(graph: Graph, lengths: bool, masks: bool) -> None:
        check_cuts(graph, batch(graph, lengths, masks), lengths)

    check_property(count, graphs(sequence=True), st.booleans(), st.booleans(), of=of)

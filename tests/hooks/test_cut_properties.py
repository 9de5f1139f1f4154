"""What `points` calls a cut is one by an independent computation, over generated networks.

A network is a graph of layers. A layer is a cut if no path from an input to an output avoids it,
which is computed on the graph alone. Chains, skips, branches, several heads, two inputs, shared
modules, gates that start at zero, recurrent layers and attention with masks and lengths occur.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import layermix as lm

WIDTH, STEPS, EXAMPLES = 4, 5, 5


@dataclass
class Node:
    """One value of a network: its kind, the values it reads, and the layer that computes it."""

    kind: str
    reads: tuple[int, ...]
    layer: str | None = None


@dataclass
class Graph:
    """The values of a network in order; inputs first."""

    nodes: list[Node] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    form: str = "tuple"
    sequence: bool = False

    def inputs(self) -> list[int]:
        return [k for k, node in enumerate(self.nodes) if node.kind == "input"]

    def is_cut(self, layer: str) -> bool:
        """Return True if every path from an input to a head goes through a layer."""
        passed = [k for k, node in enumerate(self.nodes) if node.layer == layer]
        reached = set(self.inputs())
        for k, node in enumerate(self.nodes):
            if k not in passed and reached & set(node.reads):
                reached.add(k)
        return not reached & set(self.heads)

    def calls(self, layer: str) -> int:
        return sum(node.layer == layer for node in self.nodes)


class Net(nn.Module):
    """Carries out a graph."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph, self.layers = graph, nn.ModuleDict()
        for node in graph.nodes:
            if node.layer and node.layer not in self.layers:
                self.layers[node.layer] = self.build(node)

    def build(self, node: Node) -> nn.Module:
        if node.kind == "gru":
            return nn.GRU(WIDTH, WIDTH, batch_first=True)
        if node.kind == "attention":
            return nn.MultiheadAttention(WIDTH, 2, batch_first=True, dropout=0.1)
        layer = nn.Linear(WIDTH * len(node.reads) if node.kind == "cat" else WIDTH, WIDTH)
        if node.kind == "gate":  # zero before the first step of training
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        return layer

    def forward(
        self,
        x: Tensor,
        z: Tensor | None = None,
        lengths: Tensor | None = None,
        padding_mask: Tensor | None = None,
    ) -> Any:
        given, values = iter([x, z]), list[Tensor]()
        for node in self.graph.nodes:
            read = [values[k] for k in node.reads]
            values.append(self.value(node, read, given, lengths, padding_mask))
        outputs = [values[k] for k in self.graph.heads]
        if self.graph.form == "dict":
            return {f"task{k}": output for k, output in enumerate(outputs)}
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def value(
        self,
        node: Node,
        read: list[Tensor],
        given: Iterator[Any],
        lengths: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        layer: Any = self.layers[node.layer] if node.layer else None
        match node.kind:
            case "input":
                return next(given)
            case "add":
                return read[0] + read[1]
            case "mean":
                keep = torch.ones(read[0].shape[:2], dtype=torch.bool)
                if lengths is not None:
                    keep = torch.arange(STEPS) < lengths[:, None]
                return (read[0] * keep[..., None]).sum(1) / keep.sum(1, keepdim=True)
            case "gru":
                return layer(read[0])[0]
            case "attention":
                return layer(read[0], read[0], read[0], key_padding_mask=mask)[0]
            case "gate":
                return layer(read[0])
            case "cat":
                return layer(torch.cat(read, -1)).tanh()
        return layer(read[0]).tanh()


KINDS = ["layer", "layer", "layer", "add", "cat", "gate", "shared"]


@st.composite
def graphs(draw: Any, sequence: bool) -> Graph:
    graph = Graph(sequence=sequence, form=draw(st.sampled_from(["tuple", "dict"])))
    graph.nodes = [Node("input", ()) for _ in range(1 if sequence else draw(st.integers(1, 2)))]
    kinds = [*KINDS, "gru", "attention"] if sequence else KINDS
    for number in range(draw(st.integers(2, 6))):
        count = len(graph.nodes)
        # Mostly the last value is read, so that chains with cuts are common.
        last = draw(st.booleans()) or draw(st.booleans())
        one = count - 1 if last else draw(st.integers(0, count - 1))
        other = draw(st.integers(0, count - 1))
        kind = draw(st.sampled_from(kinds))
        layers = [node for node in graph.nodes if node.kind == "layer"]
        if kind == "shared" and layers:
            graph.nodes.append(Node("layer", (one,), draw(st.sampled_from(layers)).layer))
        elif kind == "add":
            graph.nodes.append(Node(kind, (one, other)))
        elif kind == "cat":
            graph.nodes.append(Node(kind, (one, other), f"{kind}{number}"))
        elif kind == "gate":
            graph.nodes.append(Node(kind, (other,), f"{kind}{number}"))
            graph.nodes.append(Node("add", (one, count)))
        elif kind != "shared":
            graph.nodes.append(Node(kind, (one,), f"{kind}{number}"))
    if sequence:
        graph.nodes.append(Node("mean", (len(graph.nodes) - 1,)))
    trunk = len(graph.nodes) - 1
    for head in range(draw(st.integers(1, 2))):
        reads = trunk if draw(st.booleans()) or sequence else draw(st.integers(0, trunk))
        graph.nodes.append(Node("head", (reads,), f"head{head}"))
        graph.heads.append(len(graph.nodes) - 1)
    return graph


def batch(graph: Graph, lengths: bool, masks: bool) -> dict[str, Tensor]:
    """Return inputs in float64, in which nothing is rounded to zero."""
    shape = (EXAMPLES, STEPS, WIDTH) if graph.sequence else (EXAMPLES, WIDTH)
    names = ["x", "z"][: len(graph.inputs())]
    found = {name: torch.randn(shape, dtype=torch.float64) for name in names}
    if lengths:
        found["lengths"] = torch.tensor([5, 3, 4, 5, 2])
    if masks:
        found["padding_mask"] = torch.arange(STEPS) >= torch.tensor([5, 4, 3, 5, 4])[:, None]
    return found


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

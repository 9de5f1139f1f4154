"""Generated networks with a known answer to which layers are cuts.

A network is a graph of layers. A layer is a cut if every path from an input to an output passes
it. This is computed from the graph only. The graphs contain chains, skip connections, branches,
several heads, two inputs, shared modules, gates that are zero at initialization, recurrent layers,
and attention with masks and lengths.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

WIDTH, STEPS, EXAMPLES = 4, 5, 5


@dataclass
class Node:
    """Value of a network: its kind, the values it depends on, and the layer that computes it."""

    kind: str
    reads: tuple[int, ...]
    layer: str | None = None


@dataclass
class Graph:
    """Values of a network in order of computation, starting with the inputs."""

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
    """Module that computes a graph."""

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
        if node.kind == "gate":  # zero at initialization
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
    """Return inputs in float64, so that small differences are not rounded to zero."""
    shape = (EXAMPLES, STEPS, WIDTH) if graph.sequence else (EXAMPLES, WIDTH)
    names = ["x", "z"][: len(graph.inputs())]
    found = {name: torch.randn(shape, dtype=torch.float64) for name in names}
    if lengths:
        found["lengths"] = torch.tensor([5, 3, 4, 5, 2])
    if masks:
        found["padding_mask"] = torch.arange(STEPS) >= torch.tensor([5, 4, 3, 5, 4])[:, None]
    return found

"""The graph of the operations of a forward pass, and searches in it."""

from typing import Literal, NamedTuple

Kind = Literal["input", "parameter", "pass", "product", "layer"]

INPUT, PARAMETER = 0, 1  # the first nodes

# ATen operations that are matrix products or convolutions where they read parameters.
PRODUCTS = frozenset(
    [
        "addmm",
        "mm",
        "bmm",
        "baddbmm",
        "addbmm",
        "mv",
        "addmv",
        "dot",
        "linear",
        "convolution",
        "mkldnn_linear",
        "mkldnn_convolution",
    ]
)
# Operations with parameters that are passed over: a bias, a temperature.
TRANSPARENT = frozenset(
    [
        "add",
        "sub",
        "rsub",
        "mul",
        "div",
        "addcmul",
        "cat",
        "stack",
        "where",
        "index_put",
        "select_scatter",
        "slice_scatter",
        "copy",
        "expand",
        "repeat",
        "index",
        "index_select",
        "gather",
        "maximum",
        "minimum",
    ]
)
# Their results do not depend on the values of what they read.
BY_SHAPE = frozenset(
    [
        "new_empty",
        "new_zeros",
        "new_ones",
        "new_full",
        "empty_like",
        "zeros_like",
        "ones_like",
        "full_like",
        "rand_like",
        "randn_like",
    ]
)


class Node(NamedTuple):
    """An operation.

    Attributes
    ----------
    kind
        ``"product"`` for matrix products and convolutions with parameters, ``"layer"`` for other
        operations that read parameters, ``"pass"`` for those that read none, ``"parameter"`` for
        what is computed from parameters alone.
    call
        Index of the module call in which it ran; None outside of any.
    sources
        The nodes whose results it reads.
    """

    kind: Kind
    call: int | None
    sources: tuple[int, ...]


class Graph:
    """Nodes in the order in which they ran."""

    def __init__(self) -> None:
        self.nodes = [Node("input", None, ()), Node("parameter", None, ())]

    def add(self, node: Node) -> int:
        """Add a node and return its number."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def first_layers(self, start: set[int]) -> set[int]:
        """Return the nodes nearest to some nodes, going back, that read parameters."""
        found, seen, todo = set[int](), set[int](), list(start)
        while todo:
            number = todo.pop()
            if number in seen:
                continue
            seen.add(number)
            node = self.nodes[number]
            if node.kind in ("product", "layer"):
                found.add(number)
            else:
                todo.extend(node.sources)
        return found

    def reads(self, number: int, other: int) -> bool:
        """Return True if a node depends on the result of another one."""
        seen, todo = set[int](), list(self.nodes[number].sources)
        while todo:
            current = todo.pop()
            if current == other:
                return True
            if current not in seen and current > other:
                seen.add(current)
                todo.extend(self.nodes[current].sources)
        return False

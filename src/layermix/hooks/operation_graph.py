"""Record the operations of a forward pass to find the final layers of a model.

The search starts at the outputs and follows the operations backward, until it finds operations that
read parameters. It does not stop at additions and products (a bias, a temperature). If the
operations found are matrix products or convolutions, their modules are the final layers.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from layermix.hooks.activation_info import ActivationInfo, info_of
from layermix.hooks.nested import leaves

# Matrix products and convolutions with parameters are "product", other operations that read them
# "layer", those that read none "pass", and operations on parameters alone "parameter".
_Kind = Literal["input", "parameter", "pass", "product", "layer"]

_INPUT, _PARAMETER = 0, 1  # the first nodes
_LAYERS = ("product", "layer")

_PRODUCTS = frozenset(  # matrix products or convolutions if they read parameters
    (
        *("addmm", "mm", "bmm", "baddbmm", "addbmm", "mv", "addmv", "dot", "linear"),
        *("convolution", "mkldnn_linear", "mkldnn_convolution"),
    )
)
_TRANSPARENT = frozenset(  # not a layer: they read a bias or a temperature
    (
        *("add", "sub", "rsub", "mul", "div", "addcmul", "cat", "stack", "where", "index_put"),
        *("select_scatter", "slice_scatter", "copy", "expand", "repeat", "index", "index_select"),
        *("gather", "maximum", "minimum"),
    )
)
_BY_SHAPE = frozenset(  # results do not depend on the values of operands
    (
        *("new_empty", "new_zeros", "new_ones", "new_full"),
        *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
    )
)
_LINEAR = (nn.Linear, nn.modules.conv._ConvNd)


class _Node(NamedTuple):
    """An operation of the forward pass, and the earlier operations whose results it reads."""

    kind: _Kind
    call: int | None  # index of the module call around it
    sources: tuple[int, ...]


class Call(NamedTuple):
    """One call of a module in the recorded forward pass."""

    module: nn.Module
    parent: int | None  # index of the call around it
    inputs: ActivationInfo


class Dataflow(TorchDispatchMode):
    """Record the operations of one forward pass, and which results each operation reads."""

    def __init__(self, model: nn.Module, inputs: Any) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._model = model
        self._stack: list[int] = []
        self._nodes = [_Node("input", None, ()), _Node("parameter", None, ())]
        self._of = WeakIdKeyDictionary()
        self._written: dict[int, set[int]] = {}  # nodes that wrote to a storage, by its address
        self._parameters = {_storage(p) for p in model.parameters()} - {0}
        for parameter in model.parameters():
            self._of[parameter] = _PARAMETER
        for tensor in leaves(inputs).values():
            self._of[tensor] = _INPUT

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record inside the ``with`` block."""
        with ExitStack() as stack:
            for module in self._model.modules():
                before = module.register_forward_pre_hook(self._enter, with_kwargs=True)
                after = module.register_forward_hook(self._leave, always_call=True)
                stack.callback(before.remove)
                stack.callback(after.remove)
            stack.enter_context(self)
            yield

    def _enter(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        parent = self._stack[-1] if self._stack else None
        self._stack.append(len(self.calls))
        self.calls.append(Call(module, parent, info_of((args, kwargs))))

    def _leave(self, module: nn.Module, args: tuple, output: Any) -> None:
        self._stack.pop()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func._schema.name.removeprefix("aten::").removesuffix("_")
        operands = _tensors((args, kwargs))
        if name not in _BY_SHAPE:
            self._record(name, operands, _tensors(result), func._schema.is_mutable)
        return result

    def _record(
        self, name: str, operands: list[Tensor], results: list[Tensor], mutable: bool
    ) -> None:
        sources, parameters = set[int](), 0
        for operand in operands:
            found = self._sources(operand)
            sources |= {node for node in found if self._nodes[node].kind != "parameter"}
            own = found and all(self._nodes[node].kind == "parameter" for node in found)
            parameters = max(parameters, operand.numel() if own else 0)
        if not sources and not parameters:
            return
        kind: _Kind = self._kind(name, parameters > 1) if sources else "parameter"
        call = self._stack[-1] if self._stack else None
        self._nodes.append(_Node(kind, call, tuple(sources)))
        number = len(self._nodes) - 1
        for result in results:
            self._of[result] = number
            if mutable:
                self._written.setdefault(_storage(result), set()).add(number)

    def _kind(self, name: str, parametrized: bool) -> _Kind:
        if not parametrized or name in _TRANSPARENT:
            return "pass"
        module = self.calls[self._stack[-1]].module if self._stack else None
        return "product" if name in _PRODUCTS or isinstance(module, _LINEAR) else "layer"

    def _sources(self, tensor: Tensor) -> set[int]:
        storage = _storage(tensor)
        written = self._written.get(storage, set()) if storage else set()
        if tensor in self._of:
            return {self._of[tensor], *written}
        return {_PARAMETER, *written} if storage in self._parameters else set(written)

    def final_calls(self, output: Any) -> tuple[list[int], list[int], str | None]:
        """Return the calls of simple and compound final layers, and the class of another one.

        A compound layer is a module that runs several layer operations itself. Another final layer
        is one that is not a matrix product or convolution; its class is None if there is none.
        """
        found, other = set[int](), None
        for tensor in leaves(output).values():
            for node in self._first_layers(tensor) if tensor.is_floating_point() else ():
                module = self._module(self._nodes[node])
                if self._nodes[node].kind == "product" and module is not None:
                    found.add(node)
                else:
                    other = other or type(module or self._model).__name__  # not a product
        heads = found - self._read_by(found)
        calls = {call for head in heads if (call := self._nodes[head].call) is not None}
        layers = Counter(n.call for n in self._nodes if n.kind in _LAYERS)
        compound = {call for call in calls if layers[call] > 1}
        return sorted(calls - compound), sorted(compound), other

    def enters(self, tensor: Tensor, other: Tensor) -> bool:
        """Return True if `tensor` is the input of the last layers that compute `other`."""
        sources = self._sources(tensor) - {_PARAMETER}
        layers = self._first_layers(other)
        chain = self._read_by(layers, lambda node: node.kind == "pass" and len(node.sources) == 1)
        return bool(sources & chain)

    def leads_to(self, tensor: Tensor, other: Tensor) -> bool:
        """Return True if `other` was computed from `tensor`."""
        sources = self._sources(tensor) - {_PARAMETER}
        return bool(sources & self._read_by(self._sources(other)))

    def _module(self, node: _Node) -> nn.Module | None:
        """Return the module that runs an operation, or None if a model with submodules runs it."""
        module = None if node.call is None else self.calls[node.call].module
        return None if module is self._model and any(self._model.children()) else module

    def _first_layers(self, tensor: Tensor) -> set[int]:
        """Search backward from a tensor; return the first nodes found that read parameters."""
        start = self._sources(tensor)
        inner = {node for node in start if self._nodes[node].kind not in _LAYERS}
        found = start | self._read_by(inner, lambda node: node.kind not in _LAYERS)
        return {node for node in found if self._nodes[node].kind in _LAYERS}

    def _read_by(
        self, nodes: Iterable[int], through: Callable[[_Node], bool] = lambda node: True
    ) -> set[int]:
        """Return the nodes that `nodes` depend on; follow a node if ``through(node)`` is True."""
        seen, todo = set[int](), list(nodes)
        while todo:
            for source in self._nodes[todo.pop()].sources:
                if source not in seen:
                    seen.add(source)
                    if through(self._nodes[source]):
                        todo.append(source)
        return seen


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _storage(tensor: Tensor) -> int:
    """Return the address of a tensor's storage; 0 if it has none, as on the meta device."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        return 0

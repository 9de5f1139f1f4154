"""Record the operations of a forward pass to find the final layers of a model.

Each ATen operation is recorded with the operations whose results it reads. A search back from the
outputs finds the first operations that read parameters. Where these are matrix products or
convolutions, their modules are the final layers. Additions and products with parameters (a bias, a
temperature) are passed over.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from layermix.hooks.activation_info import ActivationInfo, info_of
from layermix.hooks.nested import leaves

_Kind = Literal["input", "parameter", "pass", "product", "layer"]

_INPUT, _PARAMETER = 0, 1  # the first nodes

# ATen operations that are matrix products or convolutions where they read parameters.
_PRODUCTS = frozenset(
    (
        *("addmm", "mm", "bmm", "baddbmm", "addbmm", "mv", "addmv", "dot", "linear"),
        *("convolution", "mkldnn_linear", "mkldnn_convolution"),
    )
)
# Operations with parameters that are passed over: a bias, a temperature.
_TRANSPARENT = frozenset(
    (
        *("add", "sub", "rsub", "mul", "div", "addcmul", "cat", "stack", "where", "index_put"),
        *("select_scatter", "slice_scatter", "copy", "expand", "repeat", "index", "index_select"),
        *("gather", "maximum", "minimum"),
    )
)
# Their results do not depend on the values of their operands.
_BY_SHAPE = frozenset(
    (
        *("new_empty", "new_zeros", "new_ones", "new_full"),
        *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
    )
)
_LINEAR = (nn.Linear, nn.modules.conv._ConvNd)


class _Node(NamedTuple):
    """An operation, and the nodes whose results it reads.

    The kind is ``"product"`` for matrix products and convolutions with parameters, ``"layer"`` for
    other operations that read parameters, ``"pass"`` for those that read none, ``"parameter"`` for
    operations on parameters alone. `call` is the index of the module call around it.
    """

    kind: _Kind
    call: int | None
    sources: tuple[int, ...]


class Call(NamedTuple):
    """A call of a module in the pass: the module, the index of the call around it, its inputs."""

    module: nn.Module
    parent: int | None
    inputs: ActivationInfo | str


class Dataflow(TorchDispatchMode):
    """Record the operations of a forward pass of a model, called with some inputs."""

    def __init__(self, model: nn.Module, inputs: Any) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._model = model
        self._stack: list[int] = []
        # Operations in the order in which they ran.
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
        """Add the node of an operation, if it reads inputs or parameters."""
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
        """Return the nodes whose results a tensor holds."""
        storage = _storage(tensor)
        written = self._written.get(storage, set()) if storage else set()
        if tensor in self._of:
            return {self._of[tensor], *written}
        return {_PARAMETER, *written} if storage in self._parameters else set(written)

    def inputs_of(self, module: nn.Module) -> list[ActivationInfo | str]:
        """Return shapes and dtypes of the inputs of a module for each call."""
        return [call.inputs for call in self.calls if call.module is module]

    def final_calls(self, output: Any) -> tuple[list[int], list[int], str | None]:
        """Return the calls of the final layers of an output.

        They are the indices of calls of modules with one matrix product, in the order of the pass;
        those of modules with several matrix products of their own; and the class of a layer
        without a matrix product that returns a part of the output, None if there is none.
        """
        found, others = set[int](), list[str]()
        for tensor in leaves(output).values():
            if tensor.is_floating_point():
                for node in self._first_layers(self._sources(tensor)):
                    self._sort(node, found, others)
        heads = {head for head in found if not any(self._reads(o, head) for o in found - {head})}
        calls = {call for head in heads if (call := self._nodes[head].call) is not None}
        compound = {call for call in calls if self._layers_in(call) > 1}
        return sorted(calls - compound), sorted(compound), others[0] if others else None

    def enters(self, tensor: Tensor, other: Tensor) -> bool:
        """Return True if a tensor is the input of the layers that return `other`."""
        sources, seen = self._sources(tensor) - {_PARAMETER}, set[int]()
        todo = [self._nodes[node] for node in self._first_layers(self._sources(other))]
        while todo:
            for source in todo.pop().sources:
                node = self._nodes[source]
                if source not in seen and node.kind == "pass" and len(node.sources) == 1:
                    todo.append(node)
                seen.add(source)
        return bool(sources & seen)

    def leads_to(self, tensor: Tensor, other: Tensor) -> bool:
        """Return True if `other` was computed from a tensor."""
        sources, targets = self._sources(tensor), self._sources(other)
        return any(
            source != _PARAMETER and source != target and self._reads(target, source)
            for source in sources
            for target in targets
        )

    def _sort(self, number: int, found: set[int], others: list[str]) -> None:
        node = self._nodes[number]
        module = None if node.call is None else self.calls[node.call].module
        parts = module is self._model and any(self._model.children())
        if node.kind == "product" and module is not None and not parts:
            found.add(number)
        else:
            others.append(type(module or self._model).__name__)

    def _layers_in(self, call: int) -> int:
        """Return how many operations with parameters a call has outside of inner modules."""
        return sum(n.call == call and n.kind in ("product", "layer") for n in self._nodes)

    def _first_layers(self, start: set[int]) -> set[int]:
        """Return the nodes nearest to some nodes, going back, that read parameters."""
        found, seen, todo = set[int](), set[int](), list(start)
        while todo:
            number = todo.pop()
            if number in seen:
                continue
            seen.add(number)
            node = self._nodes[number]
            if node.kind in ("product", "layer"):
                found.add(number)
            else:
                todo.extend(node.sources)
        return found

    def _reads(self, number: int, other: int) -> bool:
        """Return True if a node depends on the result of another one."""
        seen, todo = set[int](), list(self._nodes[number].sources)
        while todo:
            current = todo.pop()
            if current == other:
                return True
            if current not in seen and current > other:
                seen.add(current)
                todo.extend(self._nodes[current].sources)
        return False


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _storage(tensor: Tensor) -> int:
    """Return the address of a tensor's storage; 0 if it has none, as on the meta device."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        return 0

"""Record two unmixed passes with different batch sizes, to find the batch dimension of tensors."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from layermix.errors import InputError
from layermix.hooks.activation_info import ActivationInfo, activation_obstacle, info_of, tensor_dims
from layermix.hooks.batch import Inputs
from layermix.hooks.final import features_in, final_site
from layermix.hooks.isolation import monitoring
from layermix.hooks.lengths import input_roles
from layermix.hooks.mask_hooks import MaskHook, mask_readers, shared_masks
from layermix.hooks.masks import Role, name_at, parameter_names
from layermix.hooks.mixing_hook import Hook
from layermix.hooks.nested import Dims, Path, label_of, leaves
from layermix.hooks.operation_graph import Dataflow
from layermix.hooks.passes import Passes
from layermix.hooks.sites import Site, find

Infos = defaultdict[tuple[str, int], list[ActivationInfo]]  # of each call, by point and module
_Pass = tuple[Infos, ActivationInfo]  # info of one pass: of the points, and of the output


class Recording:
    """Record the activations at some points in two unmixed passes, and the tensors of one pass."""

    def __init__(
        self, passes: Passes, model: nn.Module, names: Sequence[str], batch_dim: int
    ) -> None:
        self._batch_dim = batch_dim
        self.missing: dict[str, str] = {}  # points without a hook site, and why
        self.roles: dict[Path, Role | None] = {}  # masks and lengths among the inputs
        self.sites = {name: find(model, name) for name in names if name != "final"}  # see `_flow`

        def record(fewer: Inputs) -> tuple[_Pass, _Pass]:
            return self._flow(passes, model, names, fewer), self.record(passes)

        first, second = passes.begin(record)
        self.sizes = passes.sizes
        # The batch with values first; with a fixed batch size both passes had the same batch.
        self._infos, self._outputs = zip(*[second, first][: len(self.sizes)], strict=True)
        self._inputs, self._input_names = passes.inputs, parameter_names(type(model))
        self._input_dims = passes.dims if passes.model is model else {}
        if "input" in self.sites and passes.model is model:
            self.roles = input_roles(passes)

    def _flow(
        self, passes: Passes, model: nn.Module, names: Sequence[str], inputs: Inputs
    ) -> _Pass:
        readers = (m for site in self.sites.values() for m in mask_readers(model, site))
        self.shared_masks: dict[nn.Module, set[str]] = {module: set() for module in readers}
        flow = Dataflow(passes.model, inputs)
        with flow.recording():
            infos, output = self._run(passes, passes.sizes[-1], inputs)
        self._features = features_in(flow, output)
        if "final" in names:
            found = final_site(flow, output, model)
            if isinstance(found, Site):
                self.sites["final"] = found
                for index, module in enumerate(found.modules):
                    calls = [call.inputs for call in flow.calls if call.module is module]
                    infos["final", index] = calls
            else:
                self.missing["final"] = found
        return infos, info_of(output)

    def record(self, passes: Passes) -> _Pass:
        """Run the model on the examples, store all tensors, and return their `ActivationInfo`."""
        self.values: dict[tuple[str, int], dict[Path, Tensor]] = {}  # by point and module, in order
        infos, output = self._run(passes, passes.sizes[0], values=self.values)
        self.output = _copied(output)
        self.labels = {path: label_of(output, path) for path in self.output}
        return infos, info_of(output)

    def _run(
        self, passes: Passes, size: int, inputs: Inputs | None = None, values: dict | None = None
    ) -> tuple[Infos, Any]:
        infos: Infos = defaultdict(list)
        readers = Site("", tuple(self.shared_masks), "before")

        def record_info(name: str, index: int, value: Any) -> None:
            infos[name, index].append(info_of(value))
            if values is not None:
                values[name, index] = _copied(value)

        def record_masks(_: str, index: int, arguments: tuple[tuple, dict[str, Any]]) -> None:
            module = readers.modules[index]
            self.shared_masks[module] |= shared_masks(module, *arguments, size)

        with monitoring(self.sites.values(), record_info), monitoring([readers], record_masks):
            return infos, passes.run(inputs)

    def output_dims(self) -> dict[Path, int | None]:
        """Return the batch dimension of each output tensor that a loss may use (not features)."""
        dims = self._dims_of(self._outputs)
        return {path: dim for path, dim in dims.items() if path not in self._features}

    @property
    def output_shape(self) -> tuple[int, ...] | None:
        """The shape of the model's output for one example; None if the output has no tensor."""
        return self._example(self._outputs)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the activation shape of one example; None unless the point is called just once."""
        return self._example(self._once(name))

    def batch_dim(self, name: str) -> int:
        """Return the batch dimension of the main tensor at a point that was called once."""
        infos = self._once(name)
        return self._dims_of(infos).get(infos[0].main) or 0

    def dims(self, name: str) -> list[Dims]:
        """For each module of a point, return the batch dimension of each tensor by path."""
        given = self._input_dims if name == "input" else {}
        constant = {path for path, dim in given.items() if dim is None}
        found = [self._dims_of(self._once(name, k)) for k in range(len(self.sites[name].modules))]
        return [{p: None if p in constant else dim for p, dim in dims.items()} for dims in found]

    def configure(
        self, hooks: Mapping[str, list[Hook]], masks: Mapping[nn.Module, MaskHook]
    ) -> None:
        """Set the batch dimensions of mixing hooks, and the shared masks of mask hooks."""
        for name, of_point in hooks.items():
            for hook, dims in zip(of_point, self.dims(name), strict=True):
                hook.dims = dims
                hook.roles = self.roles if name == "input" else {}
        for module, hook in masks.items():
            hook.shared = self.shared_masks.get(module, set())

    def _why_not(self, name: str) -> str | None:
        if name in self.missing:
            return self.missing[name]
        site = self.sites[name]
        for index, module in enumerate(site.modules):
            calls = [infos[name, index] for infos in self._infos]
            if any(len(each) != 1 for each in calls):
                return _wrong_count(len(calls[0]), module if len(site.modules) > 1 else None)
            infos = [each[0] for each in calls]
            if wrong := activation_obstacle(infos, self.sizes, self._batch_dim):
                return wrong
        return None if name == "logits" else self._wrong_output()

    def _wrong_output(self) -> str | None:
        shapes = [info.shape(info.main) for info in self._outputs if info.tensors]
        dims = self._dims_of(self._outputs).values()
        if len(shapes) < 2 or not shapes[0] or any(dim is not None for dim in dims):
            return None  # an output without a shape is a loss
        return (
            f"the output of the model has shape {shapes[0]} for a batch of {self.sizes[0]}, so "
            f"that dimension {self._batch_dim} of x is not the batch: pass another batch_dim"
        )

    def _once(self, name: str, index: int = 0) -> list[ActivationInfo]:
        """Return a module's info in each pass, or [] if a pass did not call it exactly once."""
        if name in self.missing:
            return []
        calls = [infos[name, index] for infos in self._infos]
        once = all(len(each) == 1 and each[0].tensors for each in calls)
        return [each[0] for each in calls] if once else []

    def _dims_of(self, infos: Sequence[ActivationInfo]) -> dict[Path, int | None]:
        return tensor_dims(infos, self.sizes, self._batch_dim)

    def _example(self, infos: Sequence[ActivationInfo]) -> tuple[int, ...] | None:
        if not (dims := self._dims_of(infos)):
            return None
        return infos[0].example(dims[infos[0].main] or 0)

    def _unmixed_inputs(self) -> list[str]:
        tensors = leaves(self._inputs)
        return [
            name_at(path, self._input_names)
            for path, dim in self._input_dims.items()
            if dim is not None
            and not tensors[path].is_floating_point()
            and self.roles.get(path) is None
        ]


def _copied(value: Any) -> dict[Path, Tensor]:
    """Return copies of the tensors in a value, because later layers may change them in place."""
    try:
        return {path: tensor.clone() for path, tensor in leaves(value).items()}
    except InputError:
        return {}


def _wrong_count(calls: int, head: nn.Module | None) -> str:
    it = f"the head {head}" if head else "it"
    if calls == 0:
        return f"{it} is never called in a forward pass (0 calls), although it is part of the model"
    return f"{it} is called {calls} times in one forward pass, but a mix happens once"

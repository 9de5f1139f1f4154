"""Update the weights of a model after each step.

All weights are updated by few operations, because each one that is launched on a GPU costs time.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from layermix.lab.training.recipe import Recipe
from layermix.lab.training.sharding import copy_whole, local_part

_LOOKAHEAD_EVERY, _LOOKAHEAD_KEEP, _LOOKAHEAD_POWER = 5, 0.95, 3
_copy, _lerp = torch._foreach_copy_, torch._foreach_lerp_  # pyright: ignore[reportPrivateImportUsage]
_ROUNDED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)  # autocast rounds their weights


class Optimization:
    """Optimizer, learning rate schedule and Lookahead of a recipe, for a number of steps.

    If `half` is True, the model is trained with autocast in bfloat16; see `HalfWeights`. `step` is
    the number of steps so far.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int, *, half: bool = False) -> None:
        self.optimizer = recipe.build_optimizer(model)
        self.half_weights = HalfWeights(model, self.optimizer) if half else None
        if isinstance(self.optimizer, torch.optim.SGD) and self.optimizer.defaults["fused"]:
            self._prepare_momentum()
        self.steps, self.step = steps, 0
        self._schedule = recipe.schedule(self.optimizer, steps)
        self._lookahead = Lookahead(model, steps) if recipe.lookahead else None

    def _prepare_momentum(self) -> None:
        """Set the momentum, if there is any, to 0, which equals the first step of torch.

        The fused optimizer fails if weights get their first gradients in different steps.
        """
        for group in self.optimizer.param_groups:
            for weight in group["params"] if group["momentum"] else ():
                self.optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)

    def use_autocast(self) -> None:
        """Leave the conversion of weights to autocast, from the next step on."""
        if self.half_weights:
            self.half_weights.remove()
            self.half_weights = None

    def training(self) -> AbstractContextManager:
        """Return a context manager for the steps of an epoch."""
        return self.half_weights.used() if self.half_weights else nullcontext()

    def exact(self) -> AbstractContextManager:
        """Return a context manager in which the model has weights in float32 again."""
        return self.half_weights.paused() if self.half_weights else nullcontext()

    def state_dict(self) -> dict[str, Any]:
        """Return the state, in which tensors are not copied; weights are those of the model."""
        return {
            "step": self.step,
            "half": self.half_weights is not None,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "lookahead": self._lookahead.slow if self._lookahead else [],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state from `state_dict`; the weights must be loaded before."""
        if not state["half"]:
            self.use_autocast()
        self.step = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
        for weight, values in self.optimizer.state.items():
            for name, value in values.items():
                if isinstance(value, Tensor) and value.shape == weight.shape:
                    # In the memory format of the weight, which fused optimizers need.
                    values[name] = torch.empty_like(weight.detach())
                    copy_whole(values[name], value)
        self._schedule.load_state_dict(state["schedule"])
        if self._lookahead:
            for slow, values in zip(self._lookahead.slow, state["lookahead"], strict=True):
                copy_whole(slow, values)

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return self.optimizer.param_groups[0]["lr"]

    def minimize(self, loss: Tensor) -> None:
        """Compute the gradients of a loss, (), and update the weights."""
        self.optimizer.zero_grad()
        loss.backward()
        if self.half_weights:
            self.half_weights.convert_gradients()
        self.optimizer.step()
        self._schedule.step()
        self.step += 1
        if self._lookahead:
            self._lookahead.after(self.step)
        if self.half_weights:
            self.half_weights.update()


class HalfWeights:
    """Weights of linear and convolutional layers in bfloat16, for training with autocast.

    Autocast rounds each weight, and converts each gradient, by an operation of its own. Here all
    are converted together, with the same results. The optimizer updates weights in float32, which
    the model has outside `used`. Weights that other modules share are left to autocast, and those
    of modules with other parameters, which may be normalized.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        users: dict[nn.Parameter, bool] = {}
        for module in model.modules():
            own = dict(module.named_parameters(recurse=False))
            rounded = type(module) in _ROUNDED and own.keys() <= {"weight", "bias"}
            for weight in own.values():
                users[weight] = users.get(weight, True) and rounded
        self._weights = [w for w, rounded in users.items() if rounded and w.dtype == torch.float32]
        self._exact = [nn.Parameter(w.detach(), w.requires_grad) for w in self._weights]
        self._half = [w.detach().bfloat16() for w in self._weights]
        self._optimizer = optimizer
        self._exchange(self._weights, self._exact)

    def remove(self) -> None:
        """Give the weights in float32 back to the model and to the optimizer."""
        self._set(self._exact)
        self._exchange(self._exact, self._weights)
        for weight, exact in zip(self._weights, self._exact, strict=True):
            if exact in self._optimizer.state:
                self._optimizer.state[weight] = self._optimizer.state.pop(exact)
        self._weights, self._exact, self._half = [], [], []

    def _exchange(self, old: Sequence[Tensor], new: Sequence[Tensor]) -> None:
        replaced = dict(zip(old, new, strict=True))
        for group in self._optimizer.param_groups:
            group["params"] = [replaced.get(weight, weight) for weight in group["params"]]

    @contextmanager
    def used(self) -> Iterator[None]:
        """Inside the block, the model has the weights in bfloat16."""
        self.update()
        self._set(self._half)
        try:
            yield
        finally:
            self._set(self._exact)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside the block, the model has the weights in float32, and then those from before."""
        before = [weight.data for weight in self._weights]
        self._set(self._exact)
        try:
            yield
        finally:
            self._set(before)

    def _set(self, values: Sequence[Tensor]) -> None:
        for weight, value in zip(self._weights, values, strict=True):
            weight.grad, weight.data = None, value.data

    def convert_gradients(self) -> None:
        """Give the gradients of the model to the weights in float32."""
        found, gradients = list[Tensor](), list[Tensor]()
        for weight, exact in zip(self._weights, self._exact, strict=True):
            if weight.grad is not None:
                found.append(weight.grad)
                exact.grad, weight.grad = torch.empty_like(exact), None
                gradients.append(exact.grad)
        if found:
            _copy(gradients, found)

    def update(self) -> None:
        """Round the weights in float32 to bfloat16."""
        if self._exact:
            _copy(self._half, [weight.detach() for weight in self._exact])


class Lookahead:
    """Lookahead (Zhang, Lucas, Hinton, Ba, 2019): average the weights with a slow copy of them.

    Every 5 steps, the slow weights move toward the weights, and then replace them. The movement
    decreases with the cube of the training time (Jordan, 2024). Buffers of norms are included. If
    there are 5 steps or fewer, nothing is averaged.
    """

    def __init__(self, model: nn.Module, steps: int) -> None:
        tensors = itertools.chain(model.parameters(), model.buffers())  # no duplicates
        self._fast = [t.detach() for t in tensors if t.is_floating_point()]
        self.slow = [tensor.clone() for tensor in self._fast]
        self._steps = steps

    @torch.no_grad()
    def after(self, step: int) -> None:
        """Average the weights after a step (1, 2, ...); after the last, use the slow weights."""
        last = step == self._steps
        if self._steps <= _LOOKAHEAD_EVERY or (step % _LOOKAHEAD_EVERY and not last):
            return
        decay = _LOOKAHEAD_KEEP**_LOOKAHEAD_EVERY
        keep = 1 if last else decay * (step / self._steps) ** _LOOKAHEAD_POWER
        slow, fast = ([local_part(tensor) for tensor in all] for all in (self.slow, self._fast))
        _lerp(slow, fast, 1 - keep)
        _copy(fast, slow)

"""One mixed training step, as a list of tensors to compare."""

from torch import Tensor

import layermix as lm


def step(mixer: lm.Mixer, x: Tensor, y: Tensor) -> list[Tensor]:
    """Return the output, loss and gradients of one step."""
    mixer.model.zero_grad()
    output, target = mixer(x, y)
    loss = target.loss(output)
    loss.backward()
    return [output, loss, *(p.grad.clone() for p in mixer.model.parameters() if p.grad is not None)]

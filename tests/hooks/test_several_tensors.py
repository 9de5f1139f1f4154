"""Tests that all tensors of one activation are mixed at the same positions."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import BLENDS


class Returns(nn.Module):
    """A model whose layer returns given tensors for three examples."""

    def __init__(self, *outputs: Tensor) -> None:
        super().__init__()
        self.layer, self.outputs = nn.Identity(), outputs

    def forward(self, x: Tensor) -> Any:
        return self.layer(tuple(output[: len(output) // 3 * len(x)] for output in self.outputs))


def numbered(*shape: int) -> Tensor:
    """Return ones for example 0, twos for example 1 and so on."""
    return torch.arange(1.0, shape[0] + 1).double().view(-1, *[1] * (len(shape) - 1)).expand(shape)


def mixed(net: Returns, blend: Any, ratio: Tensor) -> tuple[Any, Any]:
    mixer = lm.Mixer(net, at="layer", blend=blend, seed=2)
    mixer.check(x := torch.ones(3, 2))
    draws = mixer.draw(3).draws
    if ratio.ndim:
        draws = {name: torch.stack([value] * 3) for name, value in draws.items()}
    plan = lm.Plan("layer", ratio, torch.tensor([1, 2, 0]), blend, draws)
    with mixer.apply(plan) as applied:
        return net(x), applied


@pytest.mark.parametrize("ratio", [torch.tensor(0.4), torch.tensor([0.4, 0.7, 0.2])])
@pytest.mark.parametrize("blend", ["cut", "fourier", "grid", "patches", "salient"])
def test_maps_of_two_sizes_are_cut_at_the_same_positions(blend: str, ratio: Tensor) -> None:
    net = Returns(numbered(3, 4, 16, 16), numbered(3, 5, 8, 8), numbered(3, 2, 16, 16))
    (large, small, other), applied = mixed(net, blend, ratio)
    torch.testing.assert_close(large[:, :2], other)
    torch.testing.assert_close(small[:, :4], large[..., 1::2, 1::2])  # nearest neighbor
    weight, _ = applied.label_weights["layer"]
    own, partner = numbered(3, 1, 1, 1), numbered(3, 1, 1, 1)[[1, 2, 0]]
    kept = ((large - partner) / (own - partner)).mean((1, 2, 3))
    torch.testing.assert_close(kept, weight.double().expand(3))


@pytest.mark.parametrize("ratio", [torch.tensor(0.4), torch.tensor([0.4, 0.7, 0.2])])
@pytest.mark.parametrize("blend", ["cut", "grid", "patches", "mixstyle", "linear"])
def test_several_rows_per_example_are_mixed_like_the_main_tensor(blend: str, ratio: Tensor) -> None:
    torch.manual_seed(3)
    maps = torch.randn(3, 6, 8).double()
    heads = maps.repeat_interleave(2, 0)  # two equal rows per example
    (main, grouped), _ = mixed(Returns(maps, heads), blend, ratio)
    torch.testing.assert_close(grouped, main.repeat_interleave(2, 0))


@pytest.mark.parametrize("blend", ["cut", "fourier", "grid", "patches", "aligned"])
def test_positional_blends_raise_for_recurrent_states(blend: str) -> None:
    net = nn.Sequential(nn.LSTM(4, 6, 2, batch_first=True), nn.Identity())
    mixer = lm.Mixer(net, at="0", blend=blend)
    with pytest.raises(lm.InputError) as error:
        mixer(torch.randn(5, 20, 4), torch.randint(3, (5,)))
    assert str(error.value) == (
        f"at mix point '0': the blend {BLENDS[blend]()!r} treats positions differently, so "
        "that it cannot mix another tensor here, of shape (5, 2, 6), in the same way: mix with "
        "blend='linear', or after a module that returns one tensor"
    )


def test_reused_plan_uses_the_label_weights_of_its_last_step() -> None:
    net = nn.Sequential(nn.Identity(), nn.Flatten())
    mixer = lm.Mixer(net, at="0", blend="cut", ratio=0.5)
    plan = lm.Plan(
        "0", torch.tensor(0.5), torch.tensor([1, 0]), "cut", {"center": torch.full((3,), 0.5)}
    )
    weights = []
    for side in (5, 32):
        with mixer.apply(plan) as applied:
            net(torch.zeros(2, 1, side, side))
        target = applied.target(torch.tensor([0, 1]))
        assert isinstance(target, lm.MixedTarget)
        weights.append(float(target.ratio))
    # Boxes of 2 x floor(side / 2 / sqrt(2)) around the center, of 5 x 5 and of 32 x 32.
    assert weights == pytest.approx([1 - 2**2 / 5**2, 1 - 22**2 / 32**2])

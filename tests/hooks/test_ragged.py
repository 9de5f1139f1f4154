"""Tests of ragged batches: concatenated in one tensor, or as a list of tensors."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm

Y = torch.arange(6) % 3
TEXT, OFFSETS = torch.randint(20, (23,)), torch.tensor([0, 4, 5, 9, 15, 20])


class Bags(nn.Module):
    """A model for texts of any length: concatenated tokens and offsets."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.EmbeddingBag(20, 8, mode="sum"), nn.Linear(8, 3)

    def forward(self, text: Tensor, offsets: Tensor) -> Tensor:
        return self.head(self.embed(text, offsets))


class Pieces(nn.Module):
    """A model for a list of sequences of any length."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, pieces: list[Tensor]) -> Tensor:
        return self.head(torch.stack([self.embed(piece).mean(0) for piece in pieces]))


PIECES = [torch.randn(length, 4) for length in (5, 3, 4, 2, 6, 1)]


def features(net: nn.Module, x: tuple[Any, ...]) -> Tensor:
    found: list[Tensor] = []
    handle = net.get_submodule("head").register_forward_pre_hook(
        lambda _, args: found.append(args[0])
    )
    net(*x)
    handle.remove()
    return found[0]


@pytest.mark.parametrize(("model", "x"), [(Bags, (TEXT, OFFSETS)), (Pieces, (PIECES,))])
def test_ragged_batch_is_mixed_at_dense_activations(
    model: type[nn.Module], x: tuple[Any, ...]
) -> None:
    net = model()
    mixer = lm.Mixer(net, at="final", ratio=0.3, partner="derangement", seed=3)
    output, target = mixer(x, Y)
    assert target.loss(output).isfinite()
    plan = mixer.draw(6)
    with mixer.apply(plan):
        mixed = net(*x)
    h, head = features(net, x), net.get_submodule("head")
    torch.testing.assert_close(mixed, head(0.3 * h + 0.7 * h[plan.partner]))


def test_ragged_input_is_not_listed_and_raises() -> None:
    assert lm.points(Bags(), (TEXT, OFFSETS), all=True).names == [
        "embed",
        "head",
        "final",
        "logits",
    ]
    with pytest.raises(lm.InputError, match=r"'input'.* first dimension is not the batch"):
        lm.Mixer(Pieces(), at="input")((PIECES,), Y)


class SkippedBags(Bags):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.EmbeddingBag(20, 8)

    def forward(self, text: Tensor, offsets: Tensor) -> Tensor:
        return self.head(self.embed(text, offsets) + self.other(text, offsets))


class SkippedPieces(Pieces):
    def __init__(self) -> None:
        super().__init__()
        self.stacked, self.other = nn.Identity(), nn.Linear(4, 8)

    def forward(self, pieces: list[Tensor]) -> Tensor:
        h, beside = (torch.stack([f(p).mean(0) for p in pieces]) for f in (self.embed, self.other))
        return self.head(self.stacked(h) + beside)


@pytest.mark.parametrize(
    ("model", "x", "point"),
    [(SkippedBags, (TEXT, OFFSETS), "embed"), (SkippedPieces, (PIECES,), "stacked")],
)
def test_bypass_is_found_in_a_ragged_batch(
    model: type[nn.Module], x: tuple[Any, ...], point: str
) -> None:
    with pytest.raises(lm.InputError, match=rf"'{point}' is not a cut.*\d% of an example bypasses"):
        lm.Mixer(model(), at=point)(x, Y)


def test_layers_first_hidden_state_is_not_the_batch() -> None:
    class Started(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.GRU(4, 8, 3, batch_first=True), nn.Linear(8, 3)

        def forward(self, x: Tensor, state: Tensor) -> Tensor:
            return self.head(self.rnn(x, state)[0][:, -1])

    for size in (2, 5):
        x = torch.randn(size, 5, 4), torch.randn(3, size, 8)
        assert "final" in lm.points(Started(), x).names

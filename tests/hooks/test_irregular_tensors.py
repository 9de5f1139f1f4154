"""Tests of packed, sparse and nested inputs, which are mixed only at dense activations."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import layermix as lm
from layermix.hooks.batch import as_inputs
from layermix.hooks.examples import rows_of


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Any) -> Tensor:
        return self.fc(self.rnn(x)[1][0][-1])


class Sparse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w, self.fc = nn.Parameter(torch.randn(7, 8)), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.relu(x @ self.w))


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.e, self.fc = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.nested.to_padded_tensor(self.e(x), 0.0).sum(1))


def packed() -> Any:
    lengths = torch.tensor([5, 5, 4, 3, 2, 1])
    return pack_padded_sequence(torch.randn(6, 5, 4), lengths, batch_first=True)


def nested() -> Tensor:
    rows = [torch.randn(k, 4) for k in (3, 5, 2, 4, 6, 1)]
    return torch.nested.nested_tensor(rows, layout=torch.jagged)


def sparse() -> Tensor:
    return torch.randn(6, 7).relu().to_sparse()


IRREGULAR: dict[str, tuple[Any, Any, str]] = {
    "packed": (Packed, packed, "so its first dimension is not the batch"),
    "coo": (Sparse, sparse, "its activation is a sparse tensor"),
    "csr": (Sparse, lambda: sparse().to_sparse_csr(), "its activation is a sparse tensor"),
    "nested": (Nested, nested, "its activation is a nested tensor"),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
@pytest.mark.parametrize("name", IRREGULAR)
def test_non_dense_input_raises_and_dense_layers_are_mixed(name: str) -> None:
    build, make, why = IRREGULAR[name]
    net, x, y = build(), make(), torch.arange(6) % 3
    assert lm.points(net, x).names == ["final", "logits"]
    with pytest.raises(lm.InputError, match=f"'input' cannot be mixed: .*{why}"):
        lm.Mixer(net, at="input")(x, y)
    output, _ = lm.Mixer(net, at="final", seed=1)(x, y)
    plan = lm.Mixer(net, at="final", seed=1).draw(6)
    torch.testing.assert_close(output, lm.mix(net(x), plan))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
def test_additional_nested_tensor_raises_with_its_name() -> None:
    class Both(Nested):
        def forward(self, x: Tensor, pieces: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            return self.fc(self.e(x)) + super().forward(pieces)

    with pytest.raises(lm.InputError, match="'pieces' is a nested tensor, but mixing needs"):
        lm.Mixer(Both(), at="input")((torch.randn(6, 4), nested()), torch.arange(6) % 3)


def test_rows_of_a_packed_sequence_keep_lengths_and_values() -> None:
    x = packed()
    whole, lengths = pad_packed_sequence(x, batch_first=True)
    few = rows_of(as_inputs(x), {}, [0, 3, 4]).args[0]
    part, sizes = pad_packed_sequence(few, batch_first=True)
    assert sizes.equal(lengths[[0, 3, 4]])
    assert part.equal(whole[[0, 3, 4]])

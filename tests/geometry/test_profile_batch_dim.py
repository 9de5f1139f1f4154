"""Profiles of models with batch_dim=1 equal those of the same models with batch first."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import layermix as lm
from layermix.geometry import interpolation_gap

N = 40


class Recurrent(nn.Module):
    """An LSTM and a classifier of its mean state, with sequence first or batch first."""

    def __init__(self, batch_first: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lstm, self.fc = nn.LSTM(4, 6, batch_first=batch_first), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.lstm(x)[0].mean(1 if self.lstm.batch_first else 0))


def sequences(length: int = 7) -> tuple[Tensor, Tensor]:
    """Return sequences (L, N, d) and classes (N,)."""
    y = torch.arange(N) % 3
    generator = torch.Generator().manual_seed(0)
    return torch.randn(length, N, 4, generator=generator) + y[:, None], y


def assert_profiles_equal(found: lm.Profile, expected: lm.Profile) -> None:
    assert found.points == expected.points
    assert found.notices == expected.notices
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.shape, ours.pooled, ours.features) == (
            theirs.shape,
            theirs.pooled,
            theirs.features,
        )
        assert ours.values == pytest.approx(theirs.values, rel=1e-5, abs=1e-9, nan_ok=True)
        assert ours.snnl == pytest.approx(theirs.snnl, rel=1e-6)


@pytest.mark.parametrize("length", [7, N])
@pytest.mark.parametrize("pool", ["auto", "mean", "first", "last"])
def test_sequence_first_lstm_equals_batch_first_lstm(length: int, pool: Any) -> None:
    x, y = sequences(length)
    at = ["input", "lstm", "final", "logits"]
    found = lm.profile(Recurrent(), (x, y), at, batch_dim=1, pool=pool)
    expected = lm.profile(Recurrent(batch_first=True), (x.transpose(0, 1), y), at, pool=pool)
    assert_profiles_equal(found, expected)
    assert math.isfinite(found["lstm"].values["gap"])


class SequenceDataset(Dataset):
    """A data set of single sequences (L, d)."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.x[:, index], int(self.y[index])


def collate_batch_second(batch: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    """Return a batch (L, B, d) and its classes."""
    return torch.stack([x for x, _ in batch], 1), torch.tensor([y for _, y in batch])


FORMS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "mapping": lambda x, y: {"x": x, "labels": y},
    "data set": SequenceDataset,
    "single examples": lambda x, y: [(x[:, k], y[k]) for k in range(N)],
    "loader": lambda x, y: DataLoader(SequenceDataset(x, y), 7, collate_fn=collate_batch_second),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("most", [20, 500])
def test_all_forms_of_data_accept_batch_dim_1(form: str, most: int) -> None:
    x, y = sequences()
    y[::9] = -100
    first: dict[str, Any] = {
        "mapping": {"x": x.transpose(0, 1), "labels": y},
        "data set": TensorDataset(x.transpose(0, 1), y),
        "single examples": list(zip(x.transpose(0, 1), y, strict=True)),
        "loader": DataLoader(TensorDataset(x.transpose(0, 1), y), 7),
    }
    found = lm.profile(
        Recurrent(), FORMS[form](x, y), ["lstm", "final"], batch_dim=1, max_examples=most
    )
    batch_first_model = Recurrent(batch_first=True)
    assert_profiles_equal(
        found, lm.profile(batch_first_model, first[form], ["lstm", "final"], max_examples=most)
    )
    assert found.n <= min(most, N - 5)


class TokenClassifier(nn.Module):
    """A transformer layer on token ids (L, N) with an attention mask (N, L)."""

    def __init__(self, batch_dim: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        first = batch_dim == 0
        self.embed, self.fc, self.batch_first = nn.Embedding(20, 8), nn.Linear(8, 2), first
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=first)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.encoder(self.embed(input_ids), src_key_padding_mask=attention_mask == 0)
        keep = attention_mask if self.batch_first else attention_mask.T
        return self.fc((hidden * keep[..., None]).sum(1 if self.batch_first else 0))


class TextDataset(Dataset):
    """A data set of texts of different lengths with attention masks."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        ids = torch.randint(1, 20, (3 + index % 4,), generator=generator)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "label": index % 2}


def test_masks_are_batch_first_and_sequences_are_padded() -> None:
    found, expected = (
        lm.profile(
            TokenClassifier(dim), TextDataset(), ["encoder", "final"], batch_dim=dim, gap_examples=0
        )
        for dim in (1, 0)
    )
    assert_profiles_equal(found, expected)
    assert found["encoder"].pooled == "mean of 6 positions"
    assert "Positions are those that the attention mask keeps." in found.notices


def test_gap_equals_that_of_batch_first_model() -> None:
    x, y = sequences()
    found = interpolation_gap(Recurrent(), x, y, ["input", "lstm"], batch_dim=1, batch_size=16)
    batch_first_model = Recurrent(batch_first=True)
    expected = interpolation_gap(
        batch_first_model, x.transpose(0, 1), y, ["input", "lstm"], batch_size=16
    )
    for point, gap in found.items():
        assert gap.kl == pytest.approx(expected[point].kl, rel=1e-5)
        assert gap.cross_entropy == pytest.approx(expected[point].cross_entropy, rel=1e-6)


def test_repeated_examples_are_found_along_batch_dim() -> None:
    x, y = sequences()
    data = torch.cat([x, x[:, :3]], 1), torch.cat([y, y[:3]])
    found = lm.profile(Recurrent(), data, "final", batch_dim=1, quantities="cka")
    assert found.notices[0].startswith("3 of 43 examples repeat an earlier one")


def test_missing_batch_dim_raises_a_helpful_error() -> None:
    with pytest.raises(lm.InputError, match=r"7 examples need .*\(40,\): set batch_dim"):
        lm.profile(Recurrent(), sequences(), "final")


@pytest.mark.parametrize("dim", [-1, "1", 1.0, True])
def test_invalid_batch_dim_raises_an_error(dim: Any) -> None:
    with pytest.raises(lm.InputError, match=r"batch_dim is .*, but must be a dimension counted"):
        lm.profile(Recurrent(), sequences(), batch_dim=dim)

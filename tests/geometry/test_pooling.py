"""Pooling distinguishes tokens from maps and uses attention masks."""

import pytest
import torch

import layermix as lm
from layermix.geometry.features import pooling_of
from subjects import bert, sentences

POSITIONS = {
    "mean": lambda h, m: (h * m[..., None]).sum(1) / m.sum(1, keepdim=True),
    "first": lambda h, m: h[:, 0],
    "last": lambda h, m: h[torch.arange(len(h)), m.sum(1) - 1],
}


@pytest.mark.parametrize("pool", ["auto", *POSITIONS])
def test_tokens_are_pooled_over_unmasked_positions(pool: str) -> None:
    model, data = bert(), sentences()
    found = lm.profile(model, data, pool=pool, gap_examples=0)  # pyright: ignore[reportArgumentType]
    layers = ["bert.embeddings", "bert.encoder.layer.0", "bert.encoder.layer.1"]
    assert found.points == [*layers, "final", "logits"]
    own = found["bert.encoder.layer.1"]
    assert own.pooled == f"{'mean' if pool == 'auto' else pool} of 10 positions"
    x = {name: data[name] for name in ("input_ids", "attention_mask")}
    hidden = lm.activations(model, x, own.point)[own.point]
    features = POSITIONS["mean" if pool == "auto" else pool](hidden, data["attention_mask"])
    assert own.snnl == pytest.approx(lm.snnl(features, data["labels"]).value, rel=1e-4)


@pytest.mark.parametrize(
    ("shape", "pool", "widths", "shown", "features"),
    [
        ((7,), "auto", set(), "as it is", 7),
        ((7,), "mean", set(), "as it is", 7),
        ((5, 16), "auto", {16}, "mean of 5 positions", 16),
        ((5, 16), "flatten", {16}, "flattened", 80),
        ((16, 5), "auto", set(), "flattened", 80),
        ((16, 5), "mean", set(), "mean of 5 positions", 16),
        ((16, 4, 4), "auto", {16}, "flattened", 256),
        ((16, 4, 4), "mean", {16}, "mean of 16 positions", 16),
        ((4, 4, 16), "mean", {16}, "mean of 16 positions", 16),
        ((16, 16, 16), "first", {16}, "first of 256 positions", 16),
    ],
)
def test_positions_are_distinguished_from_features(
    shape: tuple[int, ...], pool: str, widths: set[int], shown: str, features: int
) -> None:
    found = pooling_of(shape, pool, widths)  # pyright: ignore[reportArgumentType]
    assert str(found) == shown
    assert found(torch.randn(3, *shape)).shape == (3, features) == (3, found.features)


def test_mean_pooling_accepts_channels_first_and_last() -> None:
    x = torch.randn(3, 16, 4, 5)
    expected = x.mean((2, 3))
    torch.testing.assert_close(pooling_of((16, 4, 5), "mean", set())(x), expected)
    last = pooling_of((4, 5, 16), "mean", {16})(x.permute(0, 2, 3, 1))
    torch.testing.assert_close(last, expected)

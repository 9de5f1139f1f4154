"""Tests that a mix point must be a cut of the network: bypassed points raise an error."""

import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix as lm
from cut_models import REFUSED, gap


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.down3 = (self.block(i, o) for i, o in [(3, 8), (8, 8), (8, 8)])
        self.up1, self.up2, self.out = self.block(16, 8), self.block(16, 8), nn.Conv2d(8, 4, 1)

    @staticmethod
    def block(i: int, o: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.Conv2d(o, o, 1), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.down3(F.max_pool2d(b, 2))
        d = self.up1(torch.cat([F.interpolate(c, scale_factor=2), b], 1))
        return self.out(self.up2(torch.cat([F.interpolate(d, scale_factor=2), a], 1)))


class TextCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.emb, self.fc = nn.Embedding(20, 8), nn.Linear(24, 3)
        self.convs = nn.ModuleList(
            nn.Sequential(nn.Conv1d(8, 8, k, padding="same"), nn.GroupNorm(2, 8)) for k in (3, 5, 7)
        )

    def forward(self, ids: Tensor) -> Tensor:
        h = self.emb(ids).transpose(1, 2)
        return self.fc(torch.cat([conv(h).amax(2) for conv in self.convs], 1))


class Towers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = (
            nn.Sequential(nn.Linear(n, 8), nn.ReLU(), nn.Linear(8, 8)) for n in (5, 4)
        )
        self.fc = nn.Linear(16, 3)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.fc(torch.cat([self.a(x), self.b(z)], 1))


class EncoderDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.fc = nn.Linear(4, 16), nn.Linear(16, 3)
        self.body = nn.Transformer(16, 2, 2, 2, 32, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        return self.fc(self.body(h, h).mean(1))


PARTIAL: dict[str, tuple[Any, Any, list[str], list[str]]] = {
    "U-Net": (UNet, torch.randn(4, 3, 16, 16), ["down2", "down3", "up1"], ["down1", "up2"]),
    "TextCNN": (TextCNN, torch.randint(20, (8, 9)), ["convs.0", "convs.2"], ["emb"]),
    "towers": (Towers, (torch.randn(6, 5), torch.randn(6, 4)), ["a", "b", "a.0"], ["fc"]),
    "encoder-decoder": (
        EncoderDecoder,
        torch.randn(6, 5, 4),
        ["body.encoder.layers.0", "body.encoder", "body.decoder.layers.0"],
        ["embed", "body.decoder.layers.1"],
    ),
}


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("name", PARTIAL)
def test_bypassed_points_are_no_candidates_and_raise(name: str) -> None:
    build, x, partial, cuts = PARTIAL[name]
    net = build().eval()
    assert not set(partial) & set(lm.points(net, x).names)
    rows = {row.name: row for row in lm.points(net, x, all=True)}
    for point in partial:
        assert rows[point].cut
        with pytest.raises(lm.InputError, match=REFUSED):
            lm.Mixer(net, at=point).check(x)
    for point in [*cuts, "final", *(["input"] if name != "TextCNN" else [])]:
        assert rows[point].cut == 0
        assert gap(net, x, point) < 1e-5


def two_layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5))


@pytest.mark.parametrize("length", range(1, 8))
def test_skip_connection_over_any_number_of_blocks_is_found(length: int) -> None:
    """Points probed in the same pass are distinguished by codes, which repeat."""

    class Skipped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(two_layers() for _ in range(9))
            self.fc = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = start = x
            for k, block in enumerate(self.blocks):
                start = h if k == 1 else start
                h = block(h) + (start if k == length else 0)
            return self.fc(h)

    blocks = [f"blocks.{k}" for k in range(9) if not 1 <= k <= length]
    assert lm.points(Skipped(), torch.randn(6, 5)).names == ["input", *blocks, "final", "logits"]


@pytest.mark.parametrize("unused", [(0,), (0, 2), (0, 2, 3)])
def test_blocks_with_unused_output_are_not_cuts(unused: tuple[int, ...]) -> None:
    """Their codes may cancel at the output, but not at the points between them."""

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(two_layers() for _ in range(7))
            self.fc = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            for k, block in enumerate(self.blocks):
                x = x + 0 * block(x) if k in unused else block(x)
            return self.fc(x)

    blocks = [f"blocks.{k}" for k in range(7) if k not in unused]
    assert lm.points(Idle(), torch.randn(6, 5)).names == ["input", *blocks, "final", "logits"]


def test_model_that_rejects_partner_activations_raises() -> None:
    class Strict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.g = nn.Linear(5, 8), nn.Linear(8, 8, bias=False)
            self.fc = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = self.f(x)
            if not torch.allclose(self.g(h), h @ self.g.weight.T):
                raise ValueError("the features are not those of the input")
            return self.fc(h)

    with pytest.raises(lm.InputError, match="the features are not those of the input"):
        lm.Mixer(Strict(), at=["f", "g"]).check(torch.randn(6, 5))


def test_bypassed_points_are_listed_only_with_all() -> None:
    net, x = UNet(), torch.randn(4, 3, 16, 16)
    assert [row.name for row in lm.points(net, x)] == ["input", "down1", "final", "logits"]
    assert {"down2", "down3", "up1"} < {row.name for row in lm.points(net, x, all=True)}


@pytest.mark.parametrize("group", ["auto", "random", "hidden", "last"])
def test_point_groups_contain_only_cuts(group: str) -> None:
    mixer = lm.Mixer(UNet(), at=group)
    mixer.check(torch.randn(4, 3, 16, 16))
    expected = {
        "auto": ("input", "down1", "final"),
        "random": ("input", "down1"),
        "hidden": ("down1",),
        "last": ("down1",),
    }
    assert mixer.points == expected[group]
    assert "bypasses it" in mixer.dropped["down2"]


def test_list_of_one_group_equals_the_group() -> None:
    mixer = lm.Mixer(UNet(), at=["hidden"])
    mixer.check(torch.randn(4, 3, 16, 16))
    assert mixer.points == ("down1",)


def test_group_without_a_cut_raises() -> None:
    with pytest.raises(lm.InputError, match="no mix point with a weight above 0 is left"):
        lm.Mixer(TextCNN(), at="hidden").check(torch.randint(20, (8, 9)))


def test_partial_point_warning_names_the_point() -> None:
    mixer = lm.Mixer(Towers(), at="a", allow_partial=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mixer.check((torch.randn(6, 5), torch.randn(6, 4)))
    (warning,) = caught
    assert "'a': " in str(warning.message)

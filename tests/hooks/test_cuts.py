"""A mix point must be a cut of the network: the share that bypasses it is measured and refused."""

import warnings
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix as lm
from layermix.hooks.nested import leaves

REFUSED = "is not a cut of the network"


def gap(model: nn.Module, x: Any, point: str, **options: Any) -> float:
    """Return |mixed with ratio 0 - partners'| / |unmixed - partners'| over the whole output."""
    args = x if isinstance(x, tuple) else (x,)
    with lm.Mixer(model, at=point, ratio=0.0, partner="derangement", **options) as mixer:
        mixer.check(x)
        plan = mixer.draw(len(args[0]))
        with torch.no_grad():
            own, want = model(*args), model(*(a[plan.partner] for a in args))
            with mixer.apply(plan):
                got = model(*args)
    own, want, got = (
        torch.cat([t.flatten() for t in leaves(v).values()]) for v in (own, want, got)
    )
    return float((got - want).norm() / (own - want).norm())


def flat(output: Any) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in leaves(output).values()])


class Heads(nn.Module):
    """Two tasks, whose heads are kept and returned in several ways."""

    def __init__(self, kept: str, returned: str) -> None:
        super().__init__()
        self.kept, self.returned = kept, returned
        self.trunk = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
        heads = {"age": nn.Linear(8, 3), "sex": nn.Linear(8, 3)}
        if kept == "dict":
            self.heads = nn.ModuleDict(heads)
        elif kept == "list":
            self.heads = nn.ModuleList(heads.values())
        else:
            self.age_head, self.sex_head = heads.values()

    def forward(self, x: Tensor) -> Any:
        h = self.trunk(x)
        if self.kept == "attributes":
            own: Any = self
            first, second = own.age_head(h), own.sex_head(h)
        else:
            kept: Any = self.heads
            heads = kept.values() if self.kept == "dict" else kept
            first, second = (head(h) for head in heads)
        if self.returned == "dict":
            return {"age": first, "sex": second}
        if self.returned == "sum":
            return first + second.tanh()
        return (first + second) / 2 if self.returned == "mean" else [first, second]


@pytest.mark.parametrize("kept", ["dict", "list", "attributes"])
@pytest.mark.parametrize("returned", ["dict", "list", "sum", "mean"])
def test_all_heads_are_the_final_layer(kept: str, returned: str) -> None:
    net, x = Heads(kept, returned), torch.randn(6, 5)
    assert gap(net, x, "final") < 1e-6
    assert "final" in lm.points(net, x).names


@pytest.mark.parametrize(
    ("returned", "where"), [("dict", "the outputs 'sex'"), ("mean", "the output")]
)
def test_one_head_of_several_is_refused_with_what_it_misses(returned: str, where: str) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(Heads("attributes", returned), at="age_head").check(torch.randn(6, 5))
    message = str(error.value)
    assert message.startswith(f"mix point 'age_head' {REFUSED}: ")
    assert f"of an example bypasses it to {where}, while its label" in message
    assert "layermix.points(model, x)" in message
    assert "allow_partial=True" in message
    assert message.count(". ") <= 1  # two sentences


def test_a_point_that_is_insisted_on_is_mixed_and_says_so_once() -> None:
    net, x, y = Heads("attributes", "mean"), torch.randn(6, 5), torch.arange(6) % 3
    mixer = lm.Mixer(net, at="age_head", allow_partial=True, seed=1)
    with pytest.warns(UserWarning, match=r"not cuts of the network. 'age_head': \d+\.\d+% of an"):
        output, _ = mixer(x, y)
    plan = lm.Mixer(net, at="age_head", seed=1).draw(6)
    h = net.trunk(x)
    expected = (lm.mix(net.age_head(h), plan) + net.sex_head(h)) / 2
    torch.testing.assert_close(output, expected)
    mixer.check(x)
    mixer(x, y)  # warnings are errors


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
def test_points_that_something_goes_round_are_no_defaults_and_refused(name: str) -> None:
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
def test_a_skip_connection_round_any_number_of_blocks_is_found(length: int) -> None:
    """Points that are tested in common passes are told apart by codes, which repeat."""

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
def test_blocks_whose_output_is_not_used_are_no_cuts(unused: tuple[int, ...]) -> None:
    """Their codes may add up to nothing at the output, but not at the points between them."""

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


def test_a_model_that_refuses_the_activation_of_a_partner_has_no_cuts() -> None:
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


def test_a_point_that_something_goes_round_is_listed_among_all_alone() -> None:
    net, x = UNet(), torch.randn(4, 3, 16, 16)
    assert [row.name for row in lm.points(net, x)] == ["input", "down1", "final", "logits"]
    assert {"down2", "down3", "up1"} < {row.name for row in lm.points(net, x, all=True)}


@pytest.mark.parametrize("word", ["auto", "random", "hidden", "last"])
def test_words_stand_for_cuts_alone(word: str) -> None:
    mixer = lm.Mixer(UNet(), at=word)
    mixer.check(torch.randn(4, 3, 16, 16))
    expected = {
        "auto": ("input", "down1", "final"),
        "random": ("input", "down1"),
        "hidden": ("down1",),
        "last": ("down1",),
    }
    assert mixer.points == expected[word]
    assert "bypasses it" in mixer.dropped["down2"]


def test_a_word_of_which_no_point_is_a_cut_is_refused() -> None:
    with pytest.raises(lm.InputError, match="no mix point with a weight above 0 is left"):
        lm.Mixer(TextCNN(), at="hidden").check(torch.randint(20, (8, 9)))


class Adapted(nn.Module):
    """A linear layer with a low-rank adapter, which starts at zero (LoRA)."""

    def __init__(self, base_layer: nn.Linear) -> None:
        super().__init__()
        self.base_layer, self.dropout = base_layer, nn.Dropout(0.1)
        self.lora_A = nn.Linear(base_layer.in_features, 2, bias=False)
        self.lora_B = nn.Linear(2, base_layer.out_features, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + 2 * self.lora_B(self.lora_A(self.dropout(x)))


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
        self.classifier: nn.Module = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.body(x))


def adapt(net: Any) -> None:
    net.classifier = Adapted(net.classifier)
    nn.init.normal_(net.classifier.lora_B.weight)
    net.classifier.dropout.p = 0.0


def test_the_final_layer_is_the_whole_adapted_layer() -> None:
    net, x = Classifier(), torch.randn(6, 5)
    net.classifier = Adapted(nn.Linear(8, 3))
    (row,) = (row for row in lm.points(net, x) if row.kind == "final")
    assert (row.module, row.shape, row.cut) == ("Adapted", (8,), 0.0)


def test_the_layer_below_its_adapter_is_refused_though_the_adapter_starts_at_zero() -> None:
    net, x = Classifier(), torch.randn(6, 5)
    net.classifier = Adapted(nn.Linear(8, 3))
    weight = net.classifier.lora_B.weight
    with pytest.raises(lm.InputError, match=REFUSED):
        lm.Mixer(net, at="classifier.base_layer").check(x)
    assert net.classifier.lora_B.weight is weight
    assert not weight.any()


@pytest.mark.parametrize("mixed", [False, True], ids=["built", "already mixed"])
def test_a_layer_that_is_adapted_after_the_mixer_was_built_is_mixed_whole(mixed: bool) -> None:
    net, x, y = Classifier(), torch.randn(6, 5), torch.arange(6) % 3
    mixer = lm.Mixer(net, at="final", ratio=0.0, partner="derangement")
    if mixed:
        mixer(x, y)
    adapt(net)
    for by_hand in (False, True):
        plan = mixer.draw(6)
        if by_hand:
            with mixer.apply(plan):
                output = net(x)
            torch.testing.assert_close(output, net(x[plan.partner]))
        else:
            mixer(x, y)


def test_a_layer_that_was_replaced_is_mixed_anew() -> None:
    net, x, y = Classifier(), torch.randn(6, 5), torch.arange(6) % 3
    mixer = lm.Mixer(net, at="body.0", ratio=0.0, partner="derangement")
    mixer(x, y)
    net.body[0] = nn.Linear(5, 8)
    mixer(x, y)
    plan = mixer.draw(6)
    with mixer.apply(plan):
        output = net(x)
    torch.testing.assert_close(output, net(x[plan.partner]))


class WithFeatures(nn.Module):
    """Returns logits beside the features from which they are computed, or without names."""

    def __init__(self, named: bool) -> None:
        super().__init__()
        self.f, self.fc, self.named = nn.Linear(5, 8), nn.Linear(8, 3), named

    def forward(self, x: Tensor) -> Any:
        h = self.f(x)
        return {"logits": self.fc(h), "hidden": h} if self.named else (self.fc(h), h)


def test_features_beside_named_logits_are_not_asked_for_at_the_final_layer() -> None:
    x = torch.randn(6, 5)
    lm.Mixer(WithFeatures(True), at="final").check(x)
    with pytest.raises(lm.InputError, match="bypasses it to the outputs '1'"):
        lm.Mixer(WithFeatures(False), at="final").check(x)


def test_a_gate_that_starts_at_zero_hides_nothing() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.skip, self.fc = nn.Linear(5, 8), nn.Linear(5, 8), nn.Linear(8, 3)
            self.gate = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.f(x) + self.gate * self.skip(x))

    net = Gated()
    assert lm.points(net, torch.randn(6, 5)).names == ["input", "final", "logits"]
    with pytest.raises(lm.InputError, match=REFUSED):
        lm.Mixer(net, at="f").check(torch.randn(6, 5))
    assert not net.gate


def test_a_classifier_that_starts_at_zero_is_probed_all_the_same() -> None:
    net = Heads("attributes", "mean")
    for head in (net.age_head, net.sex_head):
        nn.init.zeros_(head.weight)
    with pytest.raises(lm.InputError, match=REFUSED):
        lm.Mixer(net, at="age_head").check(torch.randn(6, 5))


@pytest.mark.parametrize(
    "x",
    [torch.zeros(4, 5), torch.ones(1, 5), torch.arange(5.0).repeat(4, 1), torch.arange(5.0)[None]],
    ids=["zero", "one", "equal", "one of several values"],
)
def test_examples_that_are_equal_hide_nothing(x: Tensor) -> None:
    with pytest.raises(lm.InputError, match=REFUSED):
        lm.Mixer(Heads("list", "mean"), at="heads.0").check(x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_cuts_are_told_in_every_dtype(dtype: torch.dtype) -> None:
    net, x = Heads("attributes", "mean").to(dtype), torch.randn(6, 5, dtype=dtype)
    rows = {row.name: row.cut for row in lm.points(net, x, all=True)}
    assert rows["trunk"] == rows["final"] == rows["input"] == 0
    assert (rows["age_head"] or 0) > 0.1


def test_an_output_that_depends_on_the_place_in_the_batch_cannot_be_measured() -> None:
    class Places(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.fc = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.f(x)) * (1 + torch.arange(len(x)) ** 2)[:, None]

    with pytest.raises(lm.InputError, match="cannot be measured how much bypasses it"):
        lm.Mixer(Places(), at="f").check(torch.randn(6, 5))


@pytest.mark.parametrize("name", ["swiftformer_xs", "repvit_m0_9"])
def test_classifiers_of_timm_with_averaged_heads_have_a_final_layer(name: str) -> None:
    model, x = timm.create_model(name, num_classes=5), torch.randn(3, 3, 64, 64)
    assert "final" in lm.points(model, x).names
    if name == "swiftformer_xs":
        with pytest.raises(lm.InputError, match=REFUSED):
            lm.Mixer(model, at="head").check(x)


def test_warnings_of_partial_points_name_the_share() -> None:
    mixer = lm.Mixer(Towers(), at="a", allow_partial=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mixer.check((torch.randn(6, 5), torch.randn(6, 4)))
    (warning,) = caught
    assert "'a': " in str(warning.message)

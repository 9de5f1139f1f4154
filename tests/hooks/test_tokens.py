"""Tests of models of token ids, which are mixed at every point except the input."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    BatchEncoding,
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
)

import layermix as lm

BLOCKS = ["bert.encoder.layer.0", "bert.encoder.layer.1"]
TOKENS = (
    "its values are integers (torch.int64) such as token ids, which cannot be mixed: mix after the "
    "embedding or a block instead"
)


def tiny_bert() -> BertForSequenceClassification:
    """Build a BERT of 2 layers and width 32 for 50 tokens and 5 classes, in training mode."""
    config = BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label={k: str(k) for k in range(5)},
    )
    return BertForSequenceClassification(config).train()


def sentences(size: int = 6) -> tuple[dict[str, Tensor], Tensor]:
    """Return random sentences of 7 tokens as a dict, and their labels."""
    ids = torch.randint(50, (size, 7))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, torch.randint(5, (size,))


def reference_logits(net: Any, x: dict[str, Tensor], plan: lm.Plan) -> Tensor:
    """Reference forward: embeddings, layers, pooler, classifier; mixed at the point of the plan."""

    def at(name: str, a: Tensor) -> Tensor:
        return plan.ratio * a + (1 - plan.ratio) * a[plan.partner] if name == plan.point else a

    a = net.bert.embeddings(x["input_ids"])
    for name, layer in zip(BLOCKS, net.bert.encoder.layer, strict=True):
        a = at(name, layer(a))
    return at("logits", net.classifier(at("final", net.bert.pooler(a))))


def test_default_points_of_a_token_model_begin_with_the_embedding() -> None:
    found = lm.points(tiny_bert(), sentences()[0])
    assert found.names == ["bert.embeddings", *BLOCKS, "final", "logits"]
    assert (found[0].kind, found.first, found.blocks) == ("embedding", found[0].name, BLOCKS)
    assert [row.shape for row in found] == [(7, 32), (7, 32), (7, 32), (32,), (5,)]


class Embedded(nn.Module):
    """Classifies the mean of a token embedding, or of float vectors without it."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.fc = nn.Embedding(50, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc((x if x.is_floating_point() else self.token(x)).mean(1))


def test_embedding_is_no_default_point_if_the_input_can_be_mixed() -> None:
    tokens, floats = torch.randint(50, (4, 6)), torch.randn(4, 6, 8)
    assert lm.points(Embedded(), tokens).names == ["token", "final", "logits"]
    assert lm.points(Embedded(), floats).names == ["input", "final", "logits"]


@pytest.mark.parametrize("at", ["random", "auto"])
def test_groups_mix_the_embedding_instead_of_token_ids(at: str) -> None:
    mixer = lm.Mixer(tiny_bert(), at=at, seed=0)
    mixer.check(sentences()[0])
    rest = ("final",) if at == "auto" else ()
    assert mixer.points == ("bert.embeddings", *BLOCKS, *rest)
    assert list(mixer.dropped) == ["input"]


def gpt2() -> nn.Module:
    sizes: dict[str, Any] = {"vocab_size": 50, "n_positions": 16, "n_embd": 16}
    sizes |= {"n_layer": 2, "n_head": 2}
    return GPT2ForSequenceClassification(GPT2Config(**sizes, pad_token_id=0))


def test_embedding_beside_others_is_that_of_the_most_tokens() -> None:
    assert lm.points(gpt2(), torch.randint(1, 50, (3, 6))).names[0] == "transformer.wte"


@pytest.mark.parametrize("mask", [torch.int64, torch.float32, torch.bool])
def test_all_lists_the_obstacle_of_token_ids(mask: torch.dtype) -> None:
    x, _ = sentences()
    rows = lm.points(tiny_bert(), {**x, "attention_mask": x["attention_mask"].to(mask)}, all=True)
    assert rows[0] == lm.MixPoint(
        "input", "input", "BertForSequenceClassification", (7,), obstacle=TOKENS
    )


def test_token_ids_raise_at_check_and_at_the_first_step() -> None:
    mixer, (x, y) = lm.Mixer(tiny_bert(), at="input"), sentences()
    for step in (lambda: mixer.check(x), lambda: mixer(x, y)):
        with pytest.raises(lm.InputError) as error:
            step()
        assert str(error.value) == (
            f"mix point 'input' cannot be mixed: {TOKENS}. layermix.points(model, x) lists the "
            "points that can"
        )


@pytest.mark.parametrize("encode", [dict, BatchEncoding])
@pytest.mark.parametrize("point", [*BLOCKS, "final", "logits"])
def test_dict_batch_equals_the_reference_forward(point: str, encode: Any) -> None:
    net, (x, y) = tiny_bert(), sentences()
    mixer, twin = lm.Mixer(net, at=point, seed=1), lm.Mixer(tiny_bert(), at=point, seed=1)
    output, target = mixer(encode(x), y)
    plan = twin.draw(6)
    torch.testing.assert_close(output.logits, reference_logits(net, x, plan))
    torch.testing.assert_close(target.dense(5), plan.target(y).dense(5))


def test_dict_batch_is_not_mixed_in_eval_mode() -> None:
    net, (x, y) = tiny_bert().eval(), sentences()
    with torch.no_grad():
        output, target = lm.Mixer(net, at="final", ratio=0.5)(x, y)
        assert output.logits.equal(net(**x).logits)
    assert isinstance(target, lm.MixedTarget)
    assert target.labels is y


def test_dict_batch_without_a_tensor_raises() -> None:
    mixer = lm.Mixer(tiny_bert(), at="final")
    with pytest.raises(lm.InputError) as error:
        mixer({"input_ids": [[1, 2], [3, 4]]}, torch.tensor([0, 1]))
    assert str(error.value) == (
        "the batch has the entries ['input_ids'], none of which is a tensor: convert it "
        "with torch.as_tensor, with the examples along the first dimension"
    )


class Cast(nn.Module):
    """Casts its input to another dtype, but computes its output from the original input."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.cast, self.fc, self.dtype = nn.Identity(), nn.Linear(4, 5), dtype

    def forward(self, x: Tensor) -> Tensor:
        self.cast(x.to(self.dtype))
        return self.fc(x)


@pytest.mark.parametrize(
    ("dtype", "obstacle"),
    [
        (torch.int64, TOKENS),
        (torch.int32, TOKENS.replace("int64", "int32")),
        (torch.bool, TOKENS.replace("int64", "bool")),
        (
            torch.uint8,
            "its values are integers (torch.uint8) such as the bytes of images, which cannot be "
            "mixed: convert them with .float() first",
        ),
        (
            torch.complex64,
            "its values are complex (torch.complex64), but mixing needs floating point",
        ),
    ],
)
def test_non_floating_dtypes_are_an_obstacle(dtype: torch.dtype, obstacle: str) -> None:
    rows = {row.name: row for row in lm.points(Cast(dtype), torch.ones(3, 4), all=True)}
    assert rows["cast"].obstacle == obstacle
    assert rows["cast"].shape == (4,)
    assert [name for name, row in rows.items() if row.obstacle] == ["cast"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floating_dtypes_are_no_obstacle(dtype: torch.dtype) -> None:
    (row,) = (r for r in lm.points(Cast(dtype), torch.ones(3, 4), all=True) if r.name == "cast")
    assert row.channels == 1
    assert row.cut == 1.0  # the model uses the original input

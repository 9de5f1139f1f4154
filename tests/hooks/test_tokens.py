"""Models of token ids: called by name, never mixed at their input, mixed everywhere else."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BatchEncoding, BertConfig, BertForSequenceClassification

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
    """Return random sentences of 7 tokens, by name, and their labels."""
    ids = torch.randint(50, (size, 7))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, torch.randint(5, (size,))


def by_hand(net: Any, x: dict[str, Tensor], plan: lm.Plan) -> Tensor:
    """Forward written out: embeddings, layers, pooler, classifier; mixed where the plan says."""

    def at(name: str, a: Tensor) -> Tensor:
        return plan.ratio * a + (1 - plan.ratio) * a[plan.partner] if name == plan.point else a

    a = net.bert.embeddings(x["input_ids"])
    for name, layer in zip(BLOCKS, net.bert.encoder.layer, strict=True):
        a = at(name, layer(a))
    return at("logits", net.classifier(at("final", net.bert.pooler(a))))


def test_a_token_model_is_mixed_at_its_layers_and_behind_them() -> None:
    found = lm.points(tiny_bert(), sentences()[0])
    assert found.names == [*BLOCKS, "final", "logits"]
    assert found.blocks == BLOCKS
    assert [row.shape for row in found] == [(7, 32), (7, 32), (32,), (5,)]


@pytest.mark.parametrize("mask", [torch.int64, torch.float32, torch.bool])
def test_the_whole_list_says_why_its_input_cannot_be_mixed(mask: torch.dtype) -> None:
    x, _ = sentences()
    rows = lm.points(tiny_bert(), {**x, "attention_mask": x["attention_mask"].to(mask)}, all=True)
    assert rows[0] == lm.MixPoint(
        "input", "input", "BertForSequenceClassification", (7,), obstacle=TOKENS
    )


def test_a_mixer_refuses_token_ids_before_anything_is_mixed() -> None:
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
def test_a_batch_by_name_is_mixed_like_its_written_out_forward(point: str, encode: Any) -> None:
    net, (x, y) = tiny_bert(), sentences()
    mixer, twin = lm.Mixer(net, at=point, seed=1), lm.Mixer(tiny_bert(), at=point, seed=1)
    output, target = mixer(encode(x), y)
    plan = twin.draw(6)
    torch.testing.assert_close(output.logits, by_hand(net, x, plan))
    torch.testing.assert_close(target.dense(5), plan.target(y).dense(5))


def test_a_batch_by_name_is_not_mixed_in_eval_mode() -> None:
    net, (x, y) = tiny_bert().eval(), sentences()
    with torch.no_grad():
        output, target = lm.Mixer(net, at="final", ratio=0.5)(x, y)
        assert output.logits.equal(net(**x).logits)
    assert isinstance(target, lm.MixedTarget)
    assert target.labels is y


def test_a_batch_by_name_without_a_tensor_is_refused() -> None:
    mixer = lm.Mixer(tiny_bert(), at="final")
    with pytest.raises(lm.InputError) as error:
        mixer({"input_ids": [[1, 2], [3, 4]]}, torch.tensor([0, 1]))
    assert str(error.value) == (
        "the batch has the entries ['input_ids'], none of which is a tensor: convert it "
        "with torch.as_tensor, with the examples along the first dimension"
    )


class Cast(nn.Module):
    """Returns its input in another dtype, and goes on with the input."""

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
def test_values_that_are_no_floating_point_numbers_are_an_obstacle(
    dtype: torch.dtype, obstacle: str
) -> None:
    rows = {row.name: row for row in lm.points(Cast(dtype), torch.ones(3, 4), all=True)}
    assert rows["cast"].obstacle == obstacle
    assert rows["cast"].shape == (4,)
    assert [name for name, row in rows.items() if row.obstacle] == ["cast"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floating_point_numbers_of_any_width_are_none(dtype: torch.dtype) -> None:
    (row,) = (r for r in lm.points(Cast(dtype), torch.ones(3, 4), all=True) if r.name == "cast")
    assert row.channels == 1
    assert row.cut == 1.0  # the model goes on with the input

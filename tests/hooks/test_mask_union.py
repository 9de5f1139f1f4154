"""Tests of mask union: after the mix point, positions valid in either example are used.

The float64 references are the model on mixed embeddings with united masks, and a loop over its
layers with the original mask up to the mix point.
"""

import copy
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor

import layermix as lm
from layermix.hooks.masks import united
from padded import BOTH, KEEP, PARTNER, RATIO, SIZES, blended, mixed


def bert(attention: str) -> Any:
    config = hf.BertConfig(**{**SIZES, "attn_implementation": attention})
    return hf.BertForSequenceClassification(config).double().train()


def roberta(attention: str) -> Any:
    config = hf.RobertaConfig(**{**SIZES, "attn_implementation": attention})
    return hf.RobertaForSequenceClassification(config).double().train()


def distilbert(attention: str) -> Any:
    sizes = {"dim": 16, "hidden_dim": 32, "n_layers": 3, "n_heads": 2, "vocab_size": 50}
    off = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
    config = hf.DistilBertConfig(**{**sizes, **off, "attn_implementation": attention})
    return hf.DistilBertForSequenceClassification(config).double().train()


# name -> (constructor, name of the word embeddings, name of the layers)
MODELS: dict[str, tuple[Any, str, str]] = {
    "bert": (bert, "bert.embeddings.word_embeddings", "bert.encoder.layer"),
    "roberta": (roberta, "roberta.embeddings.word_embeddings", "roberta.encoder.layer"),
    "distilbert": (
        distilbert,
        "distilbert.embeddings.word_embeddings",
        "distilbert.transformer.layer",
    ),
}
each_model = pytest.mark.parametrize("name", MODELS)
each_attention = pytest.mark.parametrize("attention", ["sdpa", "eager"])


def sentences(name: str) -> dict[str, Tensor]:
    x = {"input_ids": torch.randint(2, 50, (4, 7)), "attention_mask": KEEP.long()}
    # RoBERTa computes position ids from the padding, so they are passed explicitly.
    return x if name != "roberta" else {**x, "position_ids": torch.arange(7).expand(4, 7)}


@each_model
@each_attention
def test_mixed_embeddings_use_the_united_mask(name: str, attention: str) -> None:
    build, words, _ = MODELS[name]
    model, x = build(attention), sentences(name)
    output = mixed(model, words, x).logits
    embeddings = blended(model.get_submodule(words)(x["input_ids"]))
    rest = {key: value for key, value in x.items() if key not in ("input_ids", "attention_mask")}
    expected = model(inputs_embeds=embeddings, attention_mask=BOTH.long(), **rest).logits
    torch.testing.assert_close(output, expected, rtol=1e-9, atol=1e-12)


def reference_hidden_states(
    model: Any, name: str, x: dict[str, Tensor], k: int, attention: str
) -> Tensor:
    """Return the last hidden states of a loop over the layers, mixed after layer k."""

    def form(keep: Tensor) -> Tensor:
        seen = keep[:, None, None, :].expand(-1, 1, 7, -1)
        if attention == "sdpa":
            return seen
        return torch.zeros(seen.shape).double().masked_fill(~seen, torch.finfo(torch.float64).min)

    body = getattr(model, name)
    given = {key: value for key, value in x.items() if key != "attention_mask"}
    a = body.embeddings(**given)
    for index, layer in enumerate(model.get_submodule(MODELS[name][2])):
        a = layer(a, attention_mask=form(KEEP if index <= k else BOTH))
        a = blended(a) if index == k else a
    return a


@each_model
@each_attention
@pytest.mark.parametrize("k", [0, 1, 2])
def test_layers_before_the_mix_point_use_the_original_mask(
    name: str, attention: str, k: int
) -> None:
    build, _, layers = MODELS[name]
    model, x = build(attention), sentences(name)
    point = f"{layers}.{k}"
    last = model.get_submodule(layers)[-1]
    seen: list[Tensor] = []
    mixer = lm.Mixer(model, at=point)  # its hooks run first
    mixer.check(x)
    last.register_forward_hook(lambda *call: seen.append(call[-1]))
    with mixer.apply(lm.Plan(point, RATIO, PARTNER)):
        model(**x)
    torch.testing.assert_close(
        seen[0], reference_hidden_states(model, name, x, k, attention), rtol=1e-9, atol=1e-12
    )


@each_model
def test_mask_is_unchanged_without_a_plan(name: str) -> None:
    build, words, _ = MODELS[name]
    model, x = build("sdpa"), sentences(name)
    clean = model(**x).logits
    lm.Mixer(model, at=words)
    assert model(**x).logits.equal(clean)
    assert copy.deepcopy(model)(**x).logits.equal(clean)


def test_input_mask_is_not_modified() -> None:
    model, x = bert("sdpa"), sentences("bert")
    mixed(model, "bert.embeddings", x)
    assert x["attention_mask"].equal(KEEP.long())


def test_copy_made_while_a_plan_is_active_is_not_mixed() -> None:
    model, x = bert("sdpa"), sentences("bert")
    clean = model(**x).logits
    mixer = lm.Mixer(model, at="bert.embeddings")
    with mixer.apply(lm.Plan("bert.embeddings", RATIO, PARTNER)):
        twin = copy.deepcopy(model)
        model(**x)
    assert twin(**x).logits.equal(clean)


def test_remove_removes_the_mask_hooks() -> None:
    model = bert("sdpa")
    lm.Mixer(model, at=["bert.embeddings", "bert.encoder.layer.1"]).remove()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64])
def test_union_ignores_positions_ignored_in_both_examples(dtype: torch.dtype) -> None:
    mask = torch.tensor([[0, 0, 1], [0, 1, 1]], dtype=dtype)
    plan = lm.Plan("input", torch.tensor(0.5), torch.tensor([1, 0]))
    expected = torch.tensor([[0, 0, 1], [0, 0, 1]], dtype=dtype)
    assert united("mask", "src_key_padding_mask", mask, plan).equal(expected)

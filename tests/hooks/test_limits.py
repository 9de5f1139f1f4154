"""Tests of the limits in docs/models.md: points that cannot be mixed, or only partly."""

import warnings
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn

import layermix as lm
from padded import BOTH, KEEP, LENGTHS, PARTNER, RATIO, SIZES, blended, mixed

close: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-12}

SPEECH_CONFIG: dict[str, Any] = {
    **{name: size for name, size in SIZES.items() if name.endswith(("size", "heads"))},
    **dict.fromkeys(["hidden_dropout", "attention_dropout", "activation_dropout"], 0.0),
    **dict.fromkeys(["feat_proj_dropout", "final_dropout", "layerdrop"], 0.0),
    "num_hidden_layers": 2,
    "conv_dim": (8, 8),
    "conv_stride": (2, 2),
    "conv_kernel": (2, 2),
    "feat_extract_norm": "layer",
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 8,
    "apply_spec_augment": False,
}
SPEECH_MODELS: dict[str, tuple[Any, Any]] = {
    "wav2vec2": (hf.Wav2Vec2Config, hf.Wav2Vec2ForSequenceClassification),
    "hubert": (hf.HubertConfig, hf.HubertForSequenceClassification),
}
each_speech_model = pytest.mark.parametrize("name", SPEECH_MODELS)


def speech_model(name: str, **settings: Any) -> Any:
    config, model = SPEECH_MODELS[name]
    return model(config(**{**SPEECH_CONFIG, **settings})).double().train()


def audio() -> dict[str, Tensor]:
    """Return audio of four samples per position, with the lengths in `KEEP`."""
    keep = KEEP.repeat_interleave(4, 1).long()
    return {"input_values": torch.randn(4, 28, dtype=torch.float64), "attention_mask": keep}


def ids(padding: int = 0) -> dict[str, Tensor]:
    tokens = torch.randint(2, 50, (4, 7)).masked_fill(~KEEP, padding)
    return {"input_ids": tokens, "attention_mask": KEEP.long()}


def module_output(model: nn.Module, name: str, x: dict[str, Tensor]) -> Any:
    """Return the output of a submodule in an unmixed forward pass."""
    seen: list[Any] = []
    handle = model.get_submodule(name).register_forward_hook(lambda *call: seen.append(call[-1]))
    model(**x)
    handle.remove()
    return seen[0]


# Masks that the model applies in its forward, after its blocks.


@each_speech_model
def test_mean_after_a_block_uses_the_mask_of_the_first_example(name: str) -> None:
    model, x, last = speech_model(name), audio(), f"{name}.encoder.layers.1"
    with pytest.warns(UserWarning, match="mixed with masks that cannot be united"):
        output = mixed(model, last, x).logits
    features = model.projector(blended(module_output(model, last, x)))

    def pooled(keep: Tensor) -> Tensor:
        mean = (features * keep[..., None]).sum(1) / keep.sum(1, keepdim=True)
        return model.classifier(mean)

    torch.testing.assert_close(output, pooled(KEEP), **close)
    assert not torch.allclose(output, pooled(BOTH))


@each_speech_model
def test_mean_at_input_and_final_uses_the_masks_of_both_examples(
    name: str,
) -> None:
    model, x = speech_model(name), audio()
    both = BOTH.repeat_interleave(4, 1).long()
    expected = model(input_values=blended(x["input_values"]), attention_mask=both).logits
    torch.testing.assert_close(mixed(model, "input", x).logits, expected, **close)
    torch.testing.assert_close(mixed(model, "final", x).logits, blended(model(**x).logits), **close)


def gpt2() -> Any:
    sizes = {"vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16}
    off = dict.fromkeys(["resid_pdrop", "embd_pdrop", "attn_pdrop"], 0.0)
    config = hf.GPT2Config(**{**sizes, **off, "pad_token_id": 0})
    return hf.GPT2ForSequenceClassification(config).double().train()


@pytest.mark.parametrize("point", ["transformer.h.1", "final"])
def test_last_token_is_that_of_the_first_example(point: str) -> None:
    model, x = gpt2(), ids()
    hidden = module_output(model, "transformer.h.1", x)
    norm = model.transformer.ln_f
    hidden = norm(blended(hidden)) if point == "transformer.h.1" else blended(norm(hidden))
    expected = model.score(hidden)[torch.arange(4), LENGTHS - 1]
    with pytest.raises(lm.InputError, match="not a cut of the network"):
        mixed(model, point, x)
    mixer = lm.Mixer(model, at=point, allow_partial=True)
    with (
        pytest.warns(UserWarning, match="not cuts"),
        mixer.apply(lm.Plan(point, RATIO, PARTNER)),
    ):
        output = model(**x).logits
    torch.testing.assert_close(output, expected, **close)


def test_logits_are_mixed_at_the_last_token_of_each_example() -> None:
    model, x = gpt2(), ids()
    torch.testing.assert_close(
        mixed(model, "logits", x).logits, blended(model(**x).logits), **close
    )


# Masks that do not reach the blocks under a usual argument name.

T5: dict[str, Any] = {
    "vocab_size": 50,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_heads": 2,
    "num_layers": 3,
    "dropout_rate": 0.0,
    "pad_token_id": 0,
}


def reference_hidden_states(model: Any, x: dict[str, Tensor], k: int, then: Tensor) -> Tensor:
    """Return the last hidden states, mixed after block k, with the mask `then` after it."""
    stack = model.encoder
    a = stack.embed_tokens(x["input_ids"])
    bias = None
    for index, block in enumerate(stack.block):
        keep = (KEEP if index <= k else then)[:, None, None, :]
        mask = torch.zeros(keep.shape).double().masked_fill(~keep, torch.finfo(torch.float64).min)
        a, bias = block(a, mask, bias)[:2]
        a = blended(a) if index == k else a
    return stack.final_layer_norm(a)


@pytest.mark.parametrize("k", [0, 1])
def test_t5_unites_masks_separately_from_the_position_bias(k: int) -> None:
    model, x = hf.T5EncoderModel(hf.T5Config(**T5)).double().train(), ids()
    output = mixed(model, f"encoder.block.{k}", x).last_hidden_state
    torch.testing.assert_close(output, reference_hidden_states(model, x, k, BOTH), **close)


def test_longt5_position_bias_with_a_mask_is_blended() -> None:
    model = hf.LongT5EncoderModel(hf.LongT5Config(**T5, local_radius=3)).double().train()
    x, seen = ids(), []
    own = module_output(model, "encoder.block.0", x)[1]
    assert len(own) == 4  # per example, because it contains the mask
    model.encoder.block[1].register_forward_pre_hook(lambda _, args: seen.append(args[2]))
    mixer = lm.Mixer(model, at="encoder.block.0", allow_partial=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixer.check(x)
    seen.clear()
    with mixer.apply(lm.Plan("encoder.block.0", RATIO, PARTNER)):
        model(**x)
    torch.testing.assert_close(seen[0], blended(own), **close)
    ignored = own < -1e300
    assert (seen[0] < -1e300).equal(ignored | ignored[PARTNER])  # used: positions valid in both


def test_masks_with_other_names_are_not_united() -> None:
    sizes = {"vocab_size": 50, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32}
    config = hf.XLNetConfig(**{**sizes, "dropout": 0.0, "summary_last_dropout": 0.0})
    model = hf.XLNetForSequenceClassification(config).double().train()
    x = torch.randn(4, 7, 16, dtype=torch.float64)
    whole, real = (~KEEP).long(), (~KEEP).double()
    for name, mask, then in [
        ("attention_mask", KEEP.double(), BOTH.double()),
        ("input_mask", whole, whole),
        ("input_mask", real, blended(real)),
    ]:
        inputs = {"inputs_embeds": x, name: mask}
        mixer = lm.Mixer(model, at="input", allow_partial=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mixer.check(inputs)
        with mixer.apply(lm.Plan("input", RATIO, PARTNER)):
            output = model(**inputs).logits
        mixer.remove()
        expected = model(**{"inputs_embeds": blended(x), name: then}).logits
        torch.testing.assert_close(output, expected, **close)


# Layers that are skipped at random.


@each_speech_model
def test_skipped_layer_error_suggests_layerdrop_0(name: str) -> None:
    model, y = speech_model(name, layerdrop=0.4), torch.arange(4) % 2
    x = {"input_values": audio()["input_values"]}
    mixer = lm.Mixer(model, at=f"{name}.encoder.layers.0")
    mixer.check(x)
    model.config.layerdrop = 1.0
    with pytest.raises(lm.RunError, match=r"no forward pass reached .* \(layerdrop=0\)"):
        mixer(x, y)
    model.config.layerdrop = 0.0
    output, target = mixer(x, y)
    assert target.loss(output).isfinite()

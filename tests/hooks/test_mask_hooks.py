"""Tests of mask union in audio models and torch transformers, checkpointed and compiled."""

from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import layermix as lm
from padded import BOTH, KEEP, PARTNER, RATIO, SIZES, blended, mixed

each_attention = pytest.mark.parametrize("attention", ["sdpa", "eager"])


def wav2vec2(attention: str) -> Any:
    left_out = ("hidden_dropout_prob", "vocab_size")
    sizes: dict[str, Any] = {k: v for k, v in SIZES.items() if k not in left_out}
    sizes |= {
        "attn_implementation": attention,
        "hidden_dropout": 0.0,
        "activation_dropout": 0.0,
        "attention_dropout": 0.0,
    }
    sizes |= {"feat_proj_dropout": 0.0, "final_dropout": 0.0, "layerdrop": 0.0}
    sizes |= {"apply_spec_augment": False, "feat_extract_norm": "layer"}
    sizes |= {"conv_dim": (8, 8), "conv_stride": (5, 2), "conv_kernel": (10, 3)}
    sizes |= {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    config = hf.Wav2Vec2Config(**sizes)
    return hf.Wav2Vec2ForSequenceClassification(config).double().train()


def audio() -> dict[str, Tensor]:
    keep = torch.arange(120) < torch.tensor([60, 120, 80, 40])[:, None]
    return {"input_values": torch.randn(4, 120).double(), "attention_mask": keep.long()}


@each_attention
def test_audio_masks_are_united_at_the_input(attention: str) -> None:
    model, x = wav2vec2(attention), audio()
    output = mixed(model, "input", x).logits
    both = x["attention_mask"] | x["attention_mask"][PARTNER]
    expected = model(input_values=blended(x["input_values"]), attention_mask=both).logits
    torch.testing.assert_close(output, expected, rtol=1e-9, atol=1e-12)


@each_attention
def test_encoder_masks_are_united_after_the_feature_projection(attention: str) -> None:
    model, x = wav2vec2(attention), audio()
    body = model.wav2vec2
    seen: list[Tensor] = []
    mixer = lm.Mixer(model, at="wav2vec2.feature_projection")
    with pytest.warns(UserWarning, match="mixed with masks that cannot be united"):
        mixer.check(x)  # the pooling of the model uses the mask
    body.encoder.register_forward_hook(lambda *call: seen.append(call[-1][0]))
    with mixer.apply(lm.Plan("wav2vec2.feature_projection", RATIO, PARTNER)):
        model(**x)
    features = body.feature_extractor(x["input_values"]).transpose(1, 2)
    keep = body._get_feature_vector_attention_mask(features.shape[1], x["attention_mask"])
    hidden = blended(body.feature_projection(features)[0])
    expected = body.encoder(hidden, attention_mask=keep | keep[PARTNER])[0]
    torch.testing.assert_close(seen[0], expected, rtol=1e-9, atol=1e-12)


def encoder(batch_first: bool) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=batch_first)
    return nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).double().train()


@pytest.mark.parametrize("dtype", [torch.bool, torch.float64])
@pytest.mark.parametrize("batch_first", [True, False])
def test_torch_padding_masks_are_united(dtype: Any, batch_first: bool) -> None:
    model, tokens = encoder(batch_first), torch.randn(4, 7, 8).double()

    def form(keep: Tensor) -> Tensor:
        ignored = torch.zeros(keep.shape).double().masked_fill(~keep, -torch.inf)
        return ignored if dtype is torch.float64 else ~keep

    def transposed(a: Tensor) -> Tensor:
        return a if batch_first else a.transpose(0, 1)

    x = {"src": transposed(tokens), "src_key_padding_mask": form(KEEP)}
    mixer = lm.Mixer(model, at="layers.0", batch_dim=0 if batch_first else 1)
    mixer.check(x)
    with mixer.apply(lm.Plan("layers.0", RATIO, PARTNER)):
        output = model(**x)
    first, *rest = model.layers
    a = transposed(blended(transposed(first(x["src"], src_key_padding_mask=form(KEEP)))))
    for layer in rest:
        a = layer(a, src_key_padding_mask=form(BOTH))
    torch.testing.assert_close(output, a, rtol=1e-9, atol=1e-12)


class Checkpointed(nn.Module):
    """Layers that are checkpointed if `again` is True."""

    def __init__(self, again: bool) -> None:
        super().__init__()
        self.layers, self.again = encoder(True).layers, again

    def forward(self, src: Tensor, padding_mask: Tensor) -> Tensor:
        for layer in self.layers:
            if self.again:
                src = checkpoint(layer, src, None, padding_mask, use_reentrant=False)
            else:
                src = layer(src, src_key_padding_mask=padding_mask)
        return src.mean(1)


def test_recomputed_layers_use_the_united_mask() -> None:
    plain, again = Checkpointed(False), Checkpointed(True)
    again.load_state_dict(plain.state_dict())
    x = {"src": torch.randn(4, 7, 8).double(), "padding_mask": ~KEEP}
    for model in (plain, again):
        mixed(model, "layers.1", x, check=False).square().sum().backward()
    for own, other in zip(plain.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)


def test_compiled_model_unites_masks(fresh_compiler: None) -> None:
    config = hf.BertConfig(**SIZES)
    model, point = hf.BertForSequenceClassification(config).double().train(), "bert.encoder.layer.0"
    x = {"input_ids": torch.randint(50, (4, 7)), "attention_mask": KEEP.long()}
    mixer = lm.Mixer(model, at=point)
    plan = lm.Plan(point, RATIO, PARTNER)
    with mixer.apply(plan):
        eager = model(**x).logits
    compiled = torch.compile(model, backend="aot_eager")
    with mixer.apply(plan):
        torch.testing.assert_close(compiled(**x).logits, eager)

"""Small classifiers of transformers with random weights, for images, texts and audio.

Models are made small by settings that most configurations share. `_OWN` and `_MORE` have the
settings of models that need different ones.
"""

from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import InputError
from layermix.hooks.batch import Batch

_CLASSES, _EXAMPLES, _TOKENS, _PIXELS, _SAMPLES = 5, 3, 12, 64, 4000

_SMALL = {
    **dict.fromkeys(["hidden_size", "n_embd", "d_model", "dim", "emb_dim", "embedding_size"], 32),
    **dict.fromkeys(["num_hidden_layers", "n_layer", "n_layers", "num_layers"], 2),
    **dict.fromkeys(["encoder_layers", "decoder_layers"], 2),
    **dict.fromkeys(["num_attention_heads", "num_key_value_heads", "n_head", "n_heads"], 2),
    **dict.fromkeys(["num_heads", "encoder_attention_heads", "decoder_attention_heads"], 2),
    **dict.fromkeys(["intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff"], 64),
    **dict.fromkeys(["hidden_dim", "ffn_dim", "d_inner", "max_position_embeddings"], 64),
    "head_dim": 16,
    "d_kv": 16,
    "word_embed_proj_dim": 32,
    "vocab_size": 99,
    "image_size": _PIXELS,
    "n_positions": 64,
}

# All settings of models that do not use these names.
_CONVNEXT = {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 2, 1]}
_STAGES = {"embed_dim": 24, "depths": [1, 1, 2, 1]}
_OWN: dict[str, dict[str, Any]] = {
    "convnext": _CONVNEXT,
    "convnextv2": _CONVNEXT,
    "hiera": _STAGES,
    "swin": _STAGES,
    "levit": {},
}

# Additional settings.
_MORE: dict[str, dict[str, Any]] = {
    "efficientnet": {"width_coefficient": 0.25, "depth_coefficient": 0.2, "hidden_dim": 320},
    "t5": {"decoder_start_token_id": 0},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
    "audio-spectrogram-transformer": {"max_length": 64, "num_mel_bins": 32},
    "whisper": {"max_source_positions": 50, "num_mel_bins": 32},
    "wav2vec2-bert": {"feature_projection_input_dim": 32},
}

_NAMES = {
    "image": """
        beit bit convnext convnextv2 cvt data2vec-vision deit dinov2 dinov2_with_registers
        efficientnet focalnet hgnet_v2 hiera ijepa levit mobilenet_v1 mobilenet_v2 mobilevit
        mobilevitv2 poolformer pp_lcnet pvt pvt_v2 regnet resnet segformer swiftformer swin swinv2
        textnet vit vit_msn""",
    "text": """
        albert bart bert big_bird biogpt bloom camembert canine convbert ctrl data2vec-text
        deberta deberta-v2 distilbert electra ernie fnet flaubert gemma gemma2 glm gpt2 gpt_neox
        helium ibert layoutlm llama longformer mbart megatron-bert mistral mobilebert modernbert
        mpnet mra nystromformer olmo olmo2 opt phi phi3 plbart qwen2 qwen3 rembert roberta
        roberta-prelayernorm roc_bert roformer squeezebert stablelm starcoder2 t5 xlm xlm-roberta
        xlnet xmod yoso""",
    "audio": """
        audio-spectrogram-transformer data2vec-audio hubert sew sew-d unispeech unispeech-sat
        wav2vec2 wav2vec2-bert wav2vec2-conformer wavlm whisper""",
}
_KINDS = {name: kind for kind, names in _NAMES.items() for name in names.split()}


def hugging_face_names() -> list[str]:
    """Return the surveyed model types (``config.model_type``)."""
    return list(_KINDS)


def build_hugging_face(name: str) -> tuple[nn.Module, Batch]:
    """Return a small classifier of a model type on the CPU, and a batch of named inputs."""
    try:
        import transformers
    except ImportError as error:
        raise InputError("the survey of transformers needs it: pip install transformers") from error
    kind = _KINDS[name]
    config: Any = transformers.AutoConfig.for_model(name, **_OWN.get(name, {}))
    if name not in _OWN:
        shared = {key for key in _SMALL if type(getattr(config, key, None)) is int}
        small = {key: _SMALL[key] for key in shared if getattr(config, key) > 0}
        config = transformers.AutoConfig.for_model(name, **{**small, **_MORE.get(name, {})})
    config.num_labels, config.architectures = _CLASSES, []
    if kind == "text":
        config.pad_token_id = 0
    families = {
        "image": transformers.AutoModelForImageClassification,
        "text": transformers.AutoModelForSequenceClassification,
        "audio": transformers.AutoModelForAudioClassification,
    }
    model, batch = families[kind].from_config(config), _BATCHES[kind](config)
    if name == "mra":  # only supports float32
        return model, batch
    # float64, because the effect of a mix in a deep model with random weights can be tiny.
    return model.double(), {k: v.double() if v.is_floating_point() else v for k, v in batch.items()}


def _images(config: Any) -> dict[str, Tensor]:
    size = getattr(config, "image_size", _PIXELS)
    size = size if isinstance(size, int) else size[0]
    return {"pixel_values": torch.randn(_EXAMPLES, getattr(config, "num_channels", 3), size, size)}


def _texts(config: Any) -> dict[str, Tensor]:
    ids = torch.randint(4, 90, (_EXAMPLES, _TOKENS))
    end = getattr(config, "eos_token_id", None)
    if isinstance(end, int) and 0 < end < getattr(config, "vocab_size", 0):
        ids[:, -1] = end  # some models classify at this token
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _sounds(config: Any) -> dict[str, Tensor]:
    if config.model_type == "audio-spectrogram-transformer":
        return {"input_values": torch.randn(_EXAMPLES, config.max_length, config.num_mel_bins)}
    if config.model_type == "whisper":
        frames = 2 * config.max_source_positions
        return {"input_features": torch.randn(_EXAMPLES, config.num_mel_bins, frames)}
    if config.model_type == "wav2vec2-bert":
        width = config.feature_projection_input_dim
        return {"input_features": torch.randn(_EXAMPLES, 20, width)}
    return {"input_values": torch.randn(_EXAMPLES, _SAMPLES)}


_BATCHES = {"image": _images, "text": _texts, "audio": _sounds}

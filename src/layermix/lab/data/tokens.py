"""Convert texts to token ids for a model, with a tokenizer or from bytes.

Without a tokenizer, ids are those of ByT5 (Xue et al., 2022): 0 is padding, 1 ends a text, and the
UTF-8 byte b is b + 3. This needs no vocabulary and no download.

Shapes: N texts, L tokens.
"""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from layermix.errors import InputError, unknown
from layermix.extras import require
from layermix.lab.reasons import reason_of

_BUILT_IN = ("words", "bytes")
_PAD, _END, _FIRST = 0, 1, 3
BYTES = 256 + _FIRST  # size of the vocabulary of bytes
_MAX_LENGTH = 256  # maximum number of tokens, unless the model has a lower limit


class Tokens(NamedTuple):
    """Token ids of texts, as the input of a model."""

    x: dict[str, Tensor]  # input_ids and attention_mask, int64 (N, L)
    length: int  # largest number of tokens
    truncated: int  # number of texts that were longer
    padding: int  # the padding id


def tokens(
    texts: Sequence[str],
    length: int,
    tokenizer: str | None = None,
    *,
    padding: int | None = None,
    vocabulary: int | None = None,
) -> Tokens:
    """Return texts as token ids, truncated to `length` and padded on the right.

    Parameters
    ----------
    tokenizer
        Hub id or folder of a tokenizer of transformers; None uses bytes.
    padding
        Padding id of the model, used if the tokenizer has none. If it is outside the vocabulary, or
        if there is no tokenizer and the id is a byte, it is replaced by 0.
    vocabulary
        Number of token ids of the model; None means no limit.
    """
    known = range(sys.maxsize if vocabulary is None else vocabulary)
    pad = padding if isinstance(padding, int) and padding in known else _PAD
    rows, own, _ = token_rows(texts, tokenizer)
    if tokenizer is None:
        pad = _PAD if pad in range(_FIRST, BYTES) else pad
    elif own is not None:
        pad = own
    ids = pad_rows(rows, length, pad)
    lengths = torch.tensor([min(len(row), length) for row in rows])
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    truncated = sum(len(row) > length for row in rows)
    return Tokens({"input_ids": ids, "attention_mask": mask}, length, truncated, pad)


def token_rows(
    texts: Sequence[str], tokenizer: str | None
) -> tuple[list[list[int]], int | None, int]:
    """Return the token ids of each text, the padding id (or None), and the vocabulary size.

    `tokenizer` is a hub id or folder; None uses bytes.
    """
    if tokenizer is None:
        rows = [[byte + _FIRST for byte in text.encode()] + [_END] for text in texts]
        return rows, _PAD, BYTES
    require("transformers")
    from transformers import AutoTokenizer

    try:
        found: Any = AutoTokenizer.from_pretrained(tokenizer)
    except (OSError, ValueError) as error:
        if get_close_matches(tokenizer, _BUILT_IN):
            raise unknown("tokenizer", tokenizer, _BUILT_IN) from error
        raise InputError(
            f"cannot load the tokenizer {tokenizer!r}: {reason_of(error)}. Use 'words', 'bytes', "
            "or a hub id or folder"
        ) from error
    return found(list(texts))["input_ids"], found.pad_token_id, len(found)


def pad_rows(rows: Sequence[Sequence[int]], length: int, padding: int) -> Tensor:
    """Return rows of token ids, truncated to `length` and padded on the right, int64 (N, L)."""
    parts = [torch.tensor(row[:length], dtype=torch.int64) for row in rows]
    return nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=padding)


def tokens_for(model: nn.Module, texts: Sequence[str], tokenizer: str | None) -> Tokens:
    """Return texts as token ids for a model, truncated to its maximum length.

    The padding id is set in the model's configuration, where classifiers need it.
    """
    config = getattr(model, "config", None)
    embedding: Any = getattr(model, "get_input_embeddings", lambda: None)()
    vocabulary = getattr(embedding, "num_embeddings", None)
    padding = getattr(config, "pad_token_id", None)
    found = tokens(texts, _max_length(model), tokenizer, padding=padding, vocabulary=vocabulary)
    ids = found.x["input_ids"]
    if not ids.numel():
        raise InputError("every text is empty: use another column with --text-column")
    if vocabulary is not None and (highest := int(ids.max())) >= vocabulary:
        raise InputError(
            f"the texts have token ids up to {highest}, but the model's embedding has {vocabulary}:"
            f" set its tokenizer with --tokenizer, or use a model with {BYTES} ids for bytes"
        )
    if config is not None and hasattr(config, "pad_token_id"):
        config.pad_token_id = found.padding
    return found


def _max_length(model: nn.Module) -> int:
    """Return the maximum number of tokens that a model accepts, but no more than 256."""
    limit = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    limits = [limit] if isinstance(limit, int) and limit > 0 else []  # XLNet uses -1 for no limit
    for name, module in model.named_modules():
        offset = getattr(module, "padding_idx", None)
        is_position = "position" in name.rpartition(".")[2] and isinstance(module, nn.Embedding)
        if is_position and offset is not None:
            limits.append(module.num_embeddings - offset - 1)  # RoBERTa counts from here
    length = min([_MAX_LENGTH, *limits])
    if length < 1:
        raise InputError(
            f"the model has {length} positions after its padding id: increase "
            "max_position_embeddings in its configuration, or decrease pad_token_id"
        )
    return length

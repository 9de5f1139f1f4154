"""Token ids of texts for a model, by a tokenizer or from bytes.

Without a tokenizer, ids are those of UTF-8 bytes in ByT5 (Xue et al., 2022): 0 pads, 1 ends a text,
byte b is b + 3. They need no vocabulary, so any text can be read offline.

Shapes: N texts, L tokens.
"""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from layermix.errors import InputError

_PAD, _END, _FIRST = 0, 1, 3
BYTES = 256 + _FIRST  # size of the vocabulary of bytes
_MAX_LENGTH = 256  # tokens of a text, if the model has no lower limit


class Tokens(NamedTuple):
    """Token ids as the input of a model."""

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
        Hub id or folder of a tokenizer of transformers; bytes if None.
    padding
        The padding id of the model. If the tokenizer has one, or a byte has this id, or it is
        outside the vocabulary, it is not used; the id is then the tokenizer's, or else 0.
    vocabulary
        Number of ids of the model; no limit if None.
    """
    known = range(sys.maxsize if vocabulary is None else vocabulary)
    pad = padding if isinstance(padding, int) and padding in known else _PAD
    if tokenizer is None:
        rows = [[byte + _FIRST for byte in text.encode()] + [_END] for text in texts]
        pad = _PAD if pad in range(_FIRST, BYTES) else pad
    else:
        rows, pad_of_tokenizer = _tokenize(texts, tokenizer)
        pad = pad if pad_of_tokenizer is None else pad_of_tokenizer
    parts = [torch.tensor(row[:length], dtype=torch.int64) for row in rows]
    ids = nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=pad)
    lengths = torch.tensor([len(part) for part in parts])
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    truncated = sum(len(row) > length for row in rows)
    return Tokens({"input_ids": ids, "attention_mask": mask}, length, truncated, pad)


def _tokenize(texts: Sequence[str], name: str) -> tuple[list[list[int]], int | None]:
    """Return token ids, and the padding id of the tokenizer."""
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"cannot load the tokenizer {name!r}: {reason}") from error
    return tokenizer(list(texts))["input_ids"], tokenizer.pad_token_id


def tokens_for(model: nn.Module, texts: Sequence[str], tokenizer: str | None) -> Tokens:
    """Return texts as token ids for a model, truncated to its longest input.

    The padding id is set in the model's configuration, where classifiers look for the last token.
    """
    config = getattr(model, "config", None)
    embedding: Any = getattr(model, "get_input_embeddings", lambda: None)()
    vocabulary = getattr(embedding, "num_embeddings", None)
    padding = getattr(config, "pad_token_id", None)
    found = tokens(texts, _max_length(model), tokenizer, padding=padding, vocabulary=vocabulary)
    ids = found.x["input_ids"]
    if not ids.numel():
        raise InputError("every text is empty: name another column with --text-column")
    if vocabulary is not None and (highest := int(ids.max())) >= vocabulary:
        raise InputError(
            f"the texts have token ids up to {highest}, but the model's embedding has {vocabulary}:"
            f" name its tokenizer with --tokenizer, or give it a vocabulary of {BYTES} for bytes"
        )
    if config is not None and hasattr(config, "pad_token_id"):
        config.pad_token_id = found.padding
    return found


def _max_length(model: nn.Module) -> int:
    """Return the largest number of tokens that a model takes, at most 256."""
    limit = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    limits = [limit] if isinstance(limit, int) and limit > 0 else []  # XLNet has -1 for none
    for name, module in model.named_modules():
        offset = getattr(module, "padding_idx", None)
        is_position = "position" in name.rpartition(".")[2] and isinstance(module, nn.Embedding)
        if is_position and offset is not None:
            limits.append(module.num_embeddings - offset - 1)  # as RoBERTa counts positions
    length = min([_MAX_LENGTH, *limits])
    if length < 1:
        raise InputError(
            f"the model has room for {length} tokens after its padding id: raise "
            "max_position_embeddings in its configuration, or lower pad_token_id"
        )
    return length

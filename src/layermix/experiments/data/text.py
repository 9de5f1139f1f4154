"""Text: any data set of the hub's layout with a column of strings, and how it becomes token ids.

Without a tokenizer, ids are those of UTF-8 bytes as ByT5 (Xue et al., 2022) numbers them: 0 pads
(where the net has no padding of its own), 1 ends a text, byte b is b + 3. They need no vocabulary,
so that any text can be read offline.

Shapes: N texts, L tokens.
"""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from layermix.errors import InputError, unknown
from layermix.experiments.data.hub import label_column_of, labels_of, load_tables

_TEXT_NAMES = ("text", "sentence", "content")
_STRINGS = ("string", "large_string", "string_view")
_PAD, _END, _FIRST = 0, 1, 3
BYTES = 256 + _FIRST  # size of the vocabulary of bytes


class Texts(NamedTuple):
    """The texts of a split, and their classes, int64 (N,)."""

    texts: list[str]
    labels: Tensor


class TextData(NamedTuple):
    """Splits by the source's own names, and the names of the classes."""

    splits: dict[str, Texts]
    classes: tuple[str, ...]


def load_texts(
    source: str, text_column: str | None = None, label_column: str | None = None
) -> TextData:
    """Load a data set of texts with classes, given as integers or by name.

    Parameters
    ----------
    source
        Hub id, or a local folder of parquet, CSV or JSON files.
    text_column, label_column
        Names of the columns; found by type and name when left out.

    Raises
    ------
    InputError
        For a source or column that does not exist, or cannot be told.
    """
    tables = load_tables(source)
    features = next(iter(tables.values())).features
    text_column = text_column or text_column_of(features)
    label_column = label_column or label_column_of(features)
    for column in (text_column, label_column):
        if column not in features:
            raise unknown("column", column, features)
    labels, classes = labels_of(tables, label_column)
    splits = {
        name: Texts([str(text) for text in table[text_column]], labels[name])
        for name, table in tables.items()
    }
    return TextData(splits, classes)


def text_column_of(features: Any) -> str:
    """Return the one column of strings, by name where there are several."""
    strings = [name for name, kind in features.items() if getattr(kind, "dtype", "") in _STRINGS]
    named = [name for name in _TEXT_NAMES if name in strings]
    found = named[:1] or strings
    if len(found) != 1:
        raise InputError(
            f"cannot tell which of the columns {list(features)} is the text: name it with "
            "--text-column"
        )
    return found[0]


class Tokens(NamedTuple):
    """Texts as a net takes them.

    Attributes
    ----------
    x
        ``input_ids`` and ``attention_mask``, int64 (N, L).
    cut
        How many texts were cut.
    padding
        The id that shorter texts are filled up with.
    """

    x: dict[str, Tensor]
    cut: int
    padding: int


def tokens(
    texts: Sequence[str],
    length: int,
    tokenizer: str | None = None,
    padding: int | None = None,
    vocabulary: int | None = None,
) -> Tokens:
    """Return texts as token ids, padded on the right.

    Parameters
    ----------
    texts
        The texts.
    length
        Most tokens of a text; what is longer is cut.
    tokenizer
        Hub id or folder of a tokenizer of transformers; bytes when left out.
    padding
        The id that the net takes for padding, used where the tokenizer has none and no byte has
        that id; else 0.
    vocabulary
        Number of ids that the net knows, which `padding` must be below; any when left out.
    """
    known = range(sys.maxsize if vocabulary is None else vocabulary)
    own = padding if isinstance(padding, int) and padding in known else _PAD
    if tokenizer is None:
        whole, own = _bytes(texts), _PAD if own in range(_FIRST, BYTES) else own
    else:
        whole, theirs = _tokenized(texts, tokenizer)
        own = own if theirs is None else theirs
    rows = [torch.tensor(row[:length], dtype=torch.int64) for row in whole]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=own)
    lengths = torch.tensor([len(row) for row in rows])
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    cut = sum(len(row) > length for row in whole)
    return Tokens({"input_ids": ids, "attention_mask": mask}, cut, own)


def _bytes(texts: Sequence[str]) -> list[list[int]]:
    return [[byte + _FIRST for byte in text.encode()] + [_END] for text in texts]


def _tokenized(texts: Sequence[str], name: str) -> tuple[list[list[int]], int | None]:
    """Return token ids, and the one that the tokenizer pads with."""
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"cannot load the tokenizer {name!r}: {reason}") from error
    return tokenizer(list(texts))["input_ids"], tokenizer.pad_token_id

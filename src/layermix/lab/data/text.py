"""Text: any data set of the hub's layout with a column of strings, and how it becomes token ids.

Without a tokenizer, ids are those of UTF-8 bytes as ByT5 (Xue et al., 2022) numbers them: 0 pads,
1 ends a text, byte b is b + 3. They need no vocabulary, so that any text can be read offline.

Shapes: N texts, L tokens.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from layermix.errors import InputError, unknown
from layermix.lab.data.hub import classes_of, label_column_of, labels_of, load_tables

_TEXT_NAMES = ("text", "sentence", "content")
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
    """Load a data set of texts with integer classes.

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
    labels = {name: labels_of(table, name, label_column) for name, table in tables.items()}
    splits = {
        name: Texts([str(text) for text in table[text_column]], labels[name])
        for name, table in tables.items()
    }
    return TextData(splits, classes_of(features[label_column], list(labels.values())))


def text_column_of(features: Any) -> str:
    """Return the one column of strings, by name where there are several."""
    strings = [name for name, kind in features.items() if getattr(kind, "dtype", "") == "string"]
    named = [name for name in _TEXT_NAMES if name in strings]
    found = named[:1] or strings
    if len(found) != 1:
        raise InputError(
            f"cannot tell which of the columns {list(features)} is the text: name it with "
            "--text-column"
        )
    return found[0]


def tokens(
    texts: Sequence[str], length: int, tokenizer: str | None = None
) -> tuple[dict[str, Tensor], int]:
    """Return ``input_ids`` and ``attention_mask``, int64 (N, L), and how many texts were cut.

    Parameters
    ----------
    texts
        The texts.
    length
        Most tokens of a text; what is longer is cut.
    tokenizer
        Hub id or folder of a tokenizer of transformers; bytes when left out.
    """
    whole = _bytes(texts) if tokenizer is None else _tokenized(texts, tokenizer)
    rows = [torch.tensor(row[:length]) for row in whole]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=_PAD)
    lengths = torch.tensor([len(row) for row in rows])
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask}, sum(len(row) > length for row in whole)


def _bytes(texts: Sequence[str]) -> list[list[int]]:
    return [[byte + _FIRST for byte in text.encode()] + [_END] for text in texts]


def _tokenized(texts: Sequence[str], name: str) -> list[list[int]]:
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"cannot load the tokenizer {name!r}: {reason}") from error
    return tokenizer(list(texts))["input_ids"]

"""Texts as token ids: words, bytes, or the tokens of a tokenizer of transformers.

Words are those of the training texts, in lower case, without those that occur once.

Shapes: N texts, B batch, L tokens.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.lab.data.config import DataConfig
from layermix.lab.data.modality import Modality, Preprocess, Transform, shape_text
from layermix.lab.data.table_columns import features_of, input_column
from layermix.lab.data.tokens import pad_rows, token_rows

_WORD = re.compile(r"\w+|[^\w\s]")
_UNKNOWN, _FIRST = 1, 2  # ids of unknown words and of the first word; 0 is padding
_MAX_WORDS = 30_000
_LEAST = 2  # training texts must have a word so many times
_STEP = 8  # batches have a multiple of so many tokens


@dataclass(frozen=True)
class TextInputs(Modality):
    """Token ids, int32 (N, L), which `padding` follows.

    If `unknown` is an id, it replaces tokens that occur once or never in training texts.
    """

    vocabulary: int
    padding: int = 0
    unknown: int | None = None
    words: tuple[str, ...] = ()  # whose ids follow that of unknown words

    name: ClassVar[str] = "text"
    noun: ClassVar[str] = "texts"
    default_model: ClassVar[str] = "text-cnn"

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))  # a list comes from JSON

    def problem(self, inputs: Tensor) -> str | None:
        """Return the reason why inputs cannot be stored, or None."""
        if inputs.dtype != torch.int32 or inputs.ndim != 2:
            return f"texts must be int32 of shape (N, L), but are {shape_text(inputs)}"
        low, high = int(inputs.min()), int(inputs.max())
        if low < 0 or high >= self.vocabulary:
            wrong = low if low < 0 else high
            return f"token ids must be from 0 to {self.vocabulary - 1}, but {wrong} was found"
        return None

    def encoding(self, train: Tensor) -> Transform:
        """Return a function that replaces tokens which are rare in training texts."""
        ids = torch.arange(self.vocabulary, dtype=torch.int32)
        if self.unknown is not None:
            counts = train.flatten().bincount(minlength=self.vocabulary)
            rare = (counts < _LEAST) & (ids != self.padding)
            ids = torch.where(rare, self.unknown, ids).int()
        return lambda inputs: ids[inputs.long()]

    def preprocessing(self, train: Tensor) -> Preprocess:
        """Return a function that returns ids and mask, int64 (B, L); on a CPU without padding."""
        del train

        def arguments(ids: Tensor) -> dict[str, Tensor]:
            mask = ids != self.padding
            if ids.device.type == "cpu":
                longest = int(mask.sum(1).max()) if len(mask) else 0
                length = min(ids.shape[1], max(1, -(-longest // _STEP)) * _STEP)
                ids, mask = ids[:, :length], mask[:, :length]
            return {"input_ids": ids.long(), "attention_mask": mask.long()}

        return arguments

    def read_more(
        self, tables: Mapping[str, Any], config: DataConfig, shape: Sequence[int]
    ) -> dict[str, Tensor]:
        """Read other texts with the vocabulary of these."""
        texts = read_texts(tables, config)
        if self.words:
            rows = _word_rows(_split_words(texts), self.words)
        else:
            rows = _tokens(texts, config.tokenizer)[0]
        return self.padded(texts, rows, shape[0])

    def padded(
        self, texts: Mapping[str, Sequence[str]], rows: "Rows", length: int
    ) -> dict[str, Tensor]:
        """Return token ids of each split, int32 (N, L), with at most `length` tokens."""
        ids = pad_rows([*chain(*rows)], length, self.padding).int()
        return dict(zip(texts, ids.split([*map(len, rows)]), strict=True))

    def model_arguments(self, inputs: Tensor) -> dict[str, Any]:
        """Return the arguments with which a model is built."""
        sizes = {"vocab_size": self.vocabulary, "max_length": inputs.shape[1]}
        return {**sizes, "pad_token_id": self.padding}


def read_texts(tables: Mapping[str, Any], config: DataConfig) -> dict[str, list[str]]:
    """Return the texts of each split; None is an empty text."""
    column = input_column(features_of(tables), "text", config)
    return {name: ["" if t is None else str(t) for t in tables[name][column]] for name in tables}


def read_text_table(
    tables: Mapping[str, Any], config: DataConfig
) -> tuple[dict[str, Tensor], TextInputs]:
    """Tokenize the texts of each split; return them with their modality."""
    texts = read_texts(tables, config)
    rows, modality = (_words if config.tokenizer == "words" else _tokens)(texts, config.tokenizer)
    found = modality.padded(texts, rows, config.max_length)
    if not any(ids.numel() for ids in found.values()):
        raise InputError("every text is empty: use another column with --text-column")
    return found, modality


Rows = list[list[list[int]]]
"""Token ids of each text of each split."""


def _split_words(texts: Mapping[str, Sequence[str]]) -> dict[str, list[list[str]]]:
    return {name: [_WORD.findall(t.lower()) for t in part] for name, part in texts.items()}


def _words(texts: Mapping[str, Sequence[str]], tokenizer: str) -> tuple[Rows, TextInputs]:
    """Return the ids of words; the vocabulary has no words of the test split alone."""
    del tokenizer
    split = _split_words(texts)
    known = [words for name, part in split.items() if name != "test" for words in part]
    counts = Counter(chain(*(known or chain(*split.values()))))
    words = tuple(word for word, n in counts.most_common(_MAX_WORDS) if n >= _LEAST)
    modality = TextInputs(_FIRST + len(words), unknown=_UNKNOWN, words=words)
    return _word_rows(split, words), modality


def _word_rows(split: Mapping[str, list[list[str]]], words: Sequence[str]) -> Rows:
    index = {word: k for k, word in enumerate(words, _FIRST)}
    return [[[index.get(w, _UNKNOWN) for w in text] for text in part] for part in split.values()]


def _tokens(texts: Mapping[str, Sequence[str]], tokenizer: str) -> tuple[Rows, TextInputs]:
    """Return the ids of bytes, or of the tokens of a tokenizer."""
    name = None if tokenizer == "bytes" else tokenizer
    rows, padding, size = token_rows([*chain(*texts.values())], name)
    ends = [*accumulate(map(len, texts.values()), initial=0)]
    modality = TextInputs(size, padding) if padding is not None else TextInputs(size + 1, size)
    return [rows[a:b] for a, b in pairwise(ends)], modality

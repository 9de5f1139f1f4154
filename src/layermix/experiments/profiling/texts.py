"""Texts for a profile: which of them, cut to what the net takes, padded as it expects.

Shapes: N texts, L tokens.
"""

from collections.abc import Collection
from typing import Any

from torch import nn

from layermix.errors import InputError
from layermix.experiments.data.text import BYTES, load_texts, tokens
from layermix.experiments.profiling.config import ProfileConfig, Subject, refuse
from layermix.experiments.profiling.net import load_net
from layermix.hooks.isolation import takes

_LENGTH = 256  # most tokens of a text, where a net sets no lower limit


def of_texts(config: ProfileConfig) -> Subject:
    """Return a net that reads text, and the token ids of one split."""
    refuse(config, ("normalise",), f"{config.data} holds texts, which have no {{name}}")
    data = load_texts(config.data, config.text_column, config.label_column)
    name, missed = _split(config.split, data.splits)
    part = data.splits[name]
    model, notices = load_net(config, len(data.classes), None)
    length, own = _longest(model), getattr(model, "config", None)
    padding = getattr(own, "pad_token_id", None)
    read = tokens(part.texts, length, config.tokenizer, padding, _vocabulary(model))
    how = "byte by byte" if config.tokenizer is None else f"by the tokenizer {config.tokenizer}"
    _check_ids(model, read.x["input_ids"])
    if own is not None and hasattr(own, "pad_token_id"):
        own.pad_token_id = read.padding  # where a classifier looks for the end of a text
    notices.append(
        f"Data: {name} texts of {config.data}, read {how}; {read.cut} of {len(part.texts)} "
        f"texts were cut at {length} tokens."
    )
    x = read.x if takes(model, ["input_ids"]) else read.x["input_ids"]
    return Subject(model, (x, part.labels), [*notices, *missed])


def _longest(model: nn.Module) -> int:
    """Return how many tokens a net takes, 256 at most."""
    limit = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    limits = [limit] if isinstance(limit, int) and limit > 0 else []  # XLNet has -1 for none
    for name, module in model.named_modules():
        offset = getattr(module, "padding_idx", None)
        own = name.rpartition(".")[2]
        if "position" in own and isinstance(module, nn.Embedding) and offset is not None:
            limits.append(module.num_embeddings - offset - 1)  # as RoBERTa counts positions
    found = min([_LENGTH, *limits])
    if found < 1:
        raise InputError(
            f"the net has room for {found} tokens, as its positions begin after its padding id: "
            "raise max_position_embeddings in its configuration, or lower pad_token_id"
        )
    return found


def _split(wanted: str, splits: Collection[str]) -> tuple[str, list[str]]:
    """Return which split to take, and what is to be said where it is another one."""
    if wanted in splits:
        return wanted, []
    first = next(iter(splits))
    found = next((name for name in ("validation", "test", "train") if name in splits), first)
    if len(splits) > 1:
        what = "its training texts" if found == "train" else f"those of its split {found!r}"
    else:
        what = "all its texts" + (", training ones" if found == "train" else "")
    return found, [f"There is no {wanted} split in the data: these are {what}."]


def _vocabulary(model: nn.Module) -> int | None:
    embedding: Any = getattr(model, "get_input_embeddings", lambda: None)()
    return getattr(embedding, "num_embeddings", None)


def _check_ids(model: nn.Module, ids: Any) -> None:
    if not ids.numel():
        raise InputError("every text is empty: name another column with --text-column")
    size, highest = _vocabulary(model), int(ids.max())
    if size is not None and highest >= size:
        raise InputError(
            f"the texts have token ids up to {highest}, but the net's embedding has {size}: name "
            f"its tokenizer with --tokenizer, or give it a vocabulary of {BYTES} for bytes"
        )

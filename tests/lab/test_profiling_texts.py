"""Tests of `layermix profile` on texts: tokenization, padding, length, splits and columns."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import layermix as lm
from layermix.lab.data.sources import load_texts
from layermix.lab.data.tokens import BYTES, tokens
from layermix.lab.models import build
from layermix.lab.profile_config import ProfileConfig
from layermix.lab.profiling import take_profile

pytestmark = [
    pytest.mark.usefixtures("empty_caches"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


def text_folder(
    folder: Path, count: int = 40, splits: Sequence[str] = ("train", "validation")
) -> Path:
    folder.mkdir()
    rows = [
        {"text": f"{'good' if k % 2 else 'bad'} film {'é' * (k % 5)}", "label": k % 2}
        for k in range(count)
    ]
    lines = "\n".join(json.dumps(row) for row in rows)
    for split in splits:
        (folder / f"{split}.jsonl").write_text(lines)
    return folder


def write_config(folder: Path, kind: str, **settings: Any) -> str:
    """Write the configuration of a small model with 12 positions, and return its name."""
    folder.mkdir()
    config = {"model_type": kind, "vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 12}
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    return f"transformers:{folder}"


def test_texts_are_tokenized_as_bytes_and_truncated(tmp_path: Path) -> None:
    model = write_config(tmp_path / "bert", "bert")
    found = take_profile(ProfileConfig(model, data=str(text_folder(tmp_path / "films")), mixed=8))
    layers = ["bert.embeddings", "bert.encoder.layer.0", "bert.encoder.layer.1"]
    assert found.points == [*layers, "final", "logits"]
    assert found["bert.encoder.layer.0"].pooled == "mean of 12 positions"
    assert (found.n, found.classes) == (40, 2)
    assert "read byte by byte; 28 of 40 texts were truncated to 12 tokens" in found.notices[1]
    assert "Positions are those that the attention mask keeps." in found.notices


def test_vocabulary_smaller_than_the_byte_ids_raises(tmp_path: Path) -> None:
    model = write_config(tmp_path / "bert", "bert", vocab_size=90)
    with pytest.raises(
        lm.InputError, match=f"embedding has 90.*a model with {BYTES} ids for bytes"
    ):
        take_profile(ProfileConfig(model, data=str(text_folder(tmp_path / "films"))))


def test_byte_ids_equal_those_of_byt5() -> None:
    found = tokens(["ab", "é", "a long text"], length=4)
    ids, mask = found.x["input_ids"], found.x["attention_mask"]
    assert ids.tolist() == [[100, 101, 1, 0], [198, 172, 1, 0], [100, 35, 111, 114]]
    assert mask.tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert (found.truncated, found.length, found.padding) == (1, 4, 0)
    assert ids.dtype == torch.int64


def test_text_column_is_detected_or_must_be_set(tmp_path: Path) -> None:
    splits, classes = load_texts(str(text_folder(tmp_path / "films")))
    assert sorted(splits) == ["train", "validation"]
    assert splits["train"][0][1] == "good film é"
    assert classes == ("0", "1")
    with pytest.raises(lm.InputError, match="unknown column 'txt'"):
        load_texts(str(tmp_path / "films"), text="txt")
    (tmp_path / "two").mkdir()
    (tmp_path / "two/train.jsonl").write_text('{"a": "x", "b": "y", "label": 0}\n')
    with pytest.raises(lm.InputError, match="name it with --text-column"):
        load_texts(str(tmp_path / "two"))


@pytest.mark.parametrize(
    ("padding", "vocabulary", "used"),
    [(270, 300, 270), (270, None, 270), (270, 259, 0), (100, 300, 0), (None, 300, 0), (-1, 300, 0)],
)
def test_byte_padding_uses_the_padding_id_unless_it_is_a_byte(
    padding: int | None, vocabulary: int | None, used: int
) -> None:
    found = tokens(["ab", "a"], 4, padding=padding, vocabulary=vocabulary)
    assert found.x["input_ids"].tolist() == [[100, 101, 1], [100, 1, used]]
    assert found.padding == used


def word_tokenizer(folder: Path, padding: str | None = None) -> str:
    """Write a word-level tokenizer without special tokens, and return its folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["good", "bad", "film", "[PAD]", "[UNK]"]
    model = models.WordLevel({name: k for k, name in enumerate(names)}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    own = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token=padding)
    own.save_pretrained(folder)
    return str(folder)


def test_tokenizer_pads_with_its_token_or_the_model_padding_id(tmp_path: Path) -> None:
    own, none = word_tokenizer(tmp_path / "own", "[PAD]"), word_tokenizer(tmp_path / "none")
    texts = ["good film", "bad"]
    assert tokens(texts, 4, own).x["input_ids"].tolist() == [[0, 2], [1, 3]]
    assert tokens(texts, 4, none).x["input_ids"].tolist() == [[0, 2], [1, 0]]
    assert tokens(texts, 4, none, padding=7).x["input_ids"].tolist() == [[0, 2], [1, 7]]


def test_empty_texts_are_masked_and_only_empty_texts_raise(tmp_path: Path) -> None:
    found = tokens(["good", ""], 4, word_tokenizer(tmp_path / "words", "[PAD]"))
    assert found.x["input_ids"].tolist() == [[0], [3]]
    assert found.x["attention_mask"].tolist() == [[1], [0]]
    assert found.x["input_ids"].dtype == torch.int64
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/train.jsonl").write_text('{"text": "", "label": 0}\n' * 4)
    config = ProfileConfig(
        write_config(tmp_path / "bert", "bert"),
        data=str(tmp_path / "empty"),
        tokenizer=str(tmp_path / "words"),
    )
    with pytest.raises(lm.InputError, match="every text is empty"):
        take_profile(config)


@pytest.mark.parametrize("padding", [None, 270])
def test_last_token_classifier_ignores_padding(tmp_path: Path, padding: int | None) -> None:
    name = write_config(tmp_path / "gpt2", "gpt2", pad_token_id=padding)
    films = text_folder(tmp_path / "films")
    found = take_profile(ProfileConfig(name, data=str(films), mixed=0, pool="last"))
    torch.manual_seed(0)
    net = build(name, 2, {})
    texts, labels = load_texts(str(films))[0]["validation"]
    alone = torch.cat([net.eval()(tokens([text], 12).x["input_ids"]).logits for text in texts])
    expected = lm.profile(torch.nn.Identity(), (alone.detach(), labels), ["input"], gap_examples=0)
    assert found["logits"].snnl == pytest.approx(expected["input"].snnl, rel=1e-4)


def test_truncation_excludes_the_positions_reserved_for_padding(tmp_path: Path) -> None:
    films = str(text_folder(tmp_path / "films"))
    found = take_profile(
        ProfileConfig(write_config(tmp_path / "net", "roberta"), data=films, mixed=8)
    )
    assert "36 of 40 texts were truncated to 10 tokens" in found.notices[1]
    few = write_config(tmp_path / "few", "roberta", max_position_embeddings=2)
    with pytest.raises(lm.InputError, match=r"has 0 positions.*increase max_position_embeddings"):
        take_profile(ProfileConfig(few, data=films))


NO_LIMIT = """
import types

from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.config = types.SimpleNamespace(max_position_embeddings=None)
        self.words = nn.Embedding(300, 8)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, ids):
        return self.fc(self.words(ids).mean(1))
"""


def test_model_without_max_positions_uses_256_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no_limit.py").write_text(NO_LIMIT)
    monkeypatch.syspath_prepend(tmp_path)
    films = str(text_folder(tmp_path / "films"))
    found = take_profile(ProfileConfig("no_limit:Net", data=films, points=("final",), mixed=0))
    assert "0 of 40 texts were truncated to 256 tokens" in found.notices[1]


@pytest.mark.parametrize(
    ("splits", "wanted", "used"),
    [
        (["train"], "validation", "train"),
        (["test"], "validation", "test"),
        (["train", "test"], "validation", "test"),
        (["train", "validation"], "test", "validation"),
        (["train", "validation"], "train", "train"),
    ],
)
def test_missing_split_is_replaced_with_a_notice(
    tmp_path: Path, splits: list[str], wanted: Any, used: str
) -> None:
    films = str(text_folder(tmp_path / "films", splits=splits))
    net = write_config(tmp_path / "bert", "bert")
    found = take_profile(ProfileConfig(net, data=films, split=wanted, mixed=0))
    assert found.notices[1].startswith(f"Data: {used} texts of")
    notice = f"There is no {wanted} split in the data: {used} texts are used instead."
    assert (notice in found.notices) == (used != wanted)


def test_split_with_a_custom_name_is_used(tmp_path: Path) -> None:
    folder = text_folder(tmp_path / "films", splits=["train"])
    header = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: unsupervised\n"
    (folder / "README.md").write_text(f"{header}    path: train.jsonl\n---\n")
    net = write_config(tmp_path / "bert", "bert")
    found = take_profile(ProfileConfig(net, data=str(folder), mixed=0))
    assert found.notices[1].startswith("Data: unsupervised texts of")
    assert found.notices[2].startswith(
        "There is no validation split in the data: unsupervised texts"
    )


def test_texts_can_be_loaded_from_csv_files(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    lines = [f"{'good' if k % 2 else 'bad'} film,{k % 2}" for k in range(8)]
    (tmp_path / "films/train.csv").write_text("\n".join(["text,label", *lines]))
    assert load_texts(str(tmp_path / "films"))[0]["train"][0][:2] == [
        "bad film",
        "good film",
    ]


def test_image_flags_and_models_with_texts_raise(tmp_path: Path) -> None:
    films = str(text_folder(tmp_path / "films"))
    with pytest.raises(lm.InputError, match="has no images: leave out --normalize"):
        take_profile(ProfileConfig("mlp", data=films, normalize="model"))
    for net in ("resnet18", "timm:test_vit"):
        with pytest.raises(lm.InputError, match=f"{net} needs channels"):
            take_profile(ProfileConfig(net, data=films))


def test_text_labels_can_be_class_names(tmp_path: Path) -> None:
    rows = "".join(f"a film,{name}\n" for name in ("good", "bad") * 4)
    (tmp_path / "films").mkdir()
    (tmp_path / "films/train.csv").write_text(f"text,label\n{rows}")
    splits, classes = load_texts(str(tmp_path / "films"))
    assert classes == ("bad", "good")
    assert splits["train"][1].tolist() == [1, 0] * 4

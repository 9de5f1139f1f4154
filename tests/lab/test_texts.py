"""Tests of texts: words, bytes, padding, and the text models of studies."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

import layermix as lm
from layermix.errors import InputError
from layermix.lab.data import DataConfig, load, read_source, write_source
from layermix.lab.data.modalities import TextInputs
from layermix.lab.data.other import read_inputs
from layermix.lab.data.sources import decode, load_texts
from layermix.lab.models import build

MODELS = ["text-bag", "text-cnn", "text-transformer"]
ARGUMENTS = {"vocab_size": 30, "max_length": 12, "pad_token_id": 0}
POINTS = {
    "text-bag": ["embedding", "block1", "block2", "final", "logits"],
    "text-cnn": ["embedding", "convs", "final", "logits"],
    "text-transformer": ["embedding", "block1", "block2", "final", "logits"],
}
EVERYWHERE = [(name, point) for name in MODELS for point in POINTS[name]]


ROWS = [("x y", "a"), ("z y", "b")] * 9
ENUMERATED = [*enumerate(ROWS)]
SIZES = {"train": 18, "test": 18}


def text_files(folder: Path, rows: list[tuple[str, str]], test: list[tuple[str, str]]) -> str:
    folder.mkdir()
    for name, part in (("train", rows), ("test", test)):
        lines = [json.dumps({"text": text, "label": label}) for text, label in part]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return str(folder)


def model(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(name, 4, ARGUMENTS).double().eval()


def batch(lengths: list[int]) -> dict[str, Tensor]:
    """Return a padded batch of random tokens."""
    size, generator = max(lengths), torch.Generator().manual_seed(0)
    ids = torch.randint(2, 30, (len(lengths), size), generator=generator)
    mask = (torch.arange(size) < torch.tensor(lengths)[:, None]).long()
    return {"input_ids": ids * mask, "attention_mask": mask}


@torch.no_grad()
def mixed_with_ratio_0(net: torch.nn.Module, x: dict[str, Tensor], point: str) -> Tensor:
    """Return the output of a mix with ratio 0; the partner of an example is the next one."""
    partner = torch.arange(len(x["input_ids"])).roll(-1)
    mixer = lm.Mixer(net, at=point, always=True)
    mixer.check(x)
    with mixer.apply(lm.Plan(point, torch.zeros((), dtype=torch.float64), partner)):
        return net(**x)


@pytest.mark.parametrize(("name", "point"), EVERYWHERE)
def test_ratio_0_is_the_partner_if_the_texts_have_equal_lengths(name: str, point: str) -> None:
    net, x = model(name), batch([7, 7, 7, 7])
    with torch.no_grad():
        expected = net(**x).roll(-1, 0)
    torch.testing.assert_close(mixed_with_ratio_0(net, x, point), expected)


@pytest.mark.parametrize(("name", "point"), EVERYWHERE)
def test_ratio_0_is_the_partner_with_the_mask_of_both_texts(name: str, point: str) -> None:
    net, x = model(name), batch([3, 9, 5, 1])
    mask = x["attention_mask"]
    partners = {key: value.roll(-1, 0) for key, value in x.items()}
    got = mixed_with_ratio_0(net, x, point)
    with torch.no_grad():
        if point in ("embedding", "convs"):  # all later layers use the mask of both
            expected = net(partners["input_ids"], mask | partners["attention_mask"])
            torch.testing.assert_close(got, expected)
        longer = partners["attention_mask"].sum(1) >= mask.sum(1)
        own = net(**partners)
    torch.testing.assert_close(got[longer], own[longer])  # the partner's mask is the union
    if point in ("final", "logits") or (name == "text-bag" and point != "embedding"):
        torch.testing.assert_close(got, own)


@pytest.mark.parametrize("name", MODELS)
def test_padding_does_not_change_the_logits(name: str) -> None:
    net, x = model(name), batch([3, 7, 5, 1])
    with torch.no_grad():
        wide = {key: torch.nn.functional.pad(value, (0, 4)) for key, value in x.items()}
        torch.testing.assert_close(net(**wide), net(**x))
        alone = {key: value[:1, :3] for key, value in x.items()}
        torch.testing.assert_close(net(**alone), net(**x)[:1])


@pytest.mark.parametrize("name", MODELS)
def test_mix_points_begin_with_the_embedding(name: str) -> None:
    x = batch([7, 5, 7])
    assert lm.points(model(name).train(), x).names == [p for p in POINTS[name] if p != "convs"]


def test_words_are_those_of_training_texts_that_occur_twice(tmp_path: Path) -> None:
    rows = [("The cat, the dog!", "a"), ("A bird; the cat", "b")] * 6 + [("rare cat", "a")]
    source = decode(DataConfig(text_files(tmp_path / "set", rows, [("unseen unseen", "a")])))
    assert isinstance(source.modality, TextInputs)
    words = source.modality.words
    assert set(words) == {"the", "cat", ",", "dog", "!", "a", "bird", ";"}
    first = source.splits["train"].inputs[0]
    assert [words[k - 2] for k in first[first > 1]] == ["the", "cat", ",", "the", "dog", "!"]
    assert source.splits["test"].inputs[0][:2].tolist() == [1, 1]


def test_words_that_are_rare_in_the_training_split_are_unknown() -> None:
    ids = torch.tensor([[2, 3, 0], [2, 4, 0]], dtype=torch.int32)
    encode = TextInputs(5, unknown=1).encoding(ids)
    assert encode(ids).tolist() == [[2, 1, 0], [2, 1, 0]]
    assert encode(encode(ids)).equal(encode(ids))


def test_bytes_need_no_vocabulary(tmp_path: Path) -> None:
    rows = [("ab", "a"), ("é", "b")] * 10
    folder = text_files(tmp_path / "set", rows, rows)
    source = decode(DataConfig(folder, tokenizer="bytes", max_length=2))
    assert source.splits["train"].inputs[:2].tolist() == [[100, 101], [198, 172]]


def test_batches_on_a_cpu_have_no_column_of_padding(tmp_path: Path) -> None:
    rows = [("a b c", "a"), (" ".join("abcdefghij"), "b")] * 10
    data = load(DataConfig(text_files(tmp_path / "set", rows, rows)))
    short = data.test.inputs[(data.test.inputs != 0).sum(1) == 3]
    x = data.preprocess(short[:4])
    assert x["input_ids"].shape == (4, 8)  # a multiple of 8
    assert x["attention_mask"].sum(1).tolist() == [3, 3, 3, 3]
    assert all(value.dtype == torch.int64 for value in x.values())


def test_texts_are_written_and_read_with_their_vocabulary(tmp_path: Path) -> None:
    rows = [("good film", "yes"), ("bad film", "no")] * 10
    source = decode(DataConfig(text_files(tmp_path / "set", rows, rows)))
    write_source(source, tmp_path / "texts.safetensors")
    again = read_source(tmp_path / "texts.safetensors")
    assert again.modality == source.modality
    assert again.classes == ("no", "yes")


def test_empty_texts_raise(tmp_path: Path) -> None:
    folder = text_files(tmp_path / "set", [("", "a"), ("", "b")], [("", "a")])
    with pytest.raises(InputError, match="every text is empty: use another column"):
        decode(DataConfig(folder))


def test_image_settings_with_texts_raise(tmp_path: Path) -> None:
    from layermix.lab.run_setup import complete
    from layermix.lab.training import Recipe

    data = load(DataConfig(text_files(tmp_path / "set", ROWS, ROWS)))
    with pytest.raises(InputError, match="crop is 2, but the data have texts, which have no such"):
        complete(Recipe(crop=2), data)


def csv_texts(folder: Path, **columns: list[str]) -> str:
    """Write texts of two splits, with more columns in the training split alone."""
    folder.mkdir()
    for name, more in (("train", columns), ("test", {})):
        rows = [["text", "label", *more]]
        rows += [[text, label, *(v[k] for v in more.values())] for k, (text, label) in ENUMERATED]
        (folder / f"{name}.csv").write_text("\n".join(map(",".join, rows)))
    return str(folder)


def test_unused_columns_of_one_split_are_accepted(tmp_path: Path) -> None:
    numbers = [str(k) for k in range(18)]
    found = decode(DataConfig(csv_texts(tmp_path / "csv", idx=numbers, comment=numbers)))
    assert {name: len(split.inputs) for name, split in found.splits.items()} == SIZES


@pytest.mark.parametrize("value", [None, "absent"])
def test_unused_columns_without_values_are_accepted(tmp_path: Path, value: str | None) -> None:
    folder = tmp_path / "set"
    text_files(folder, ROWS, ROWS)
    for name, note in (("train", "x"), ("test", value)):
        lines = (folder / f"{name}.jsonl").read_text().splitlines()
        rows = [json.loads(line) | ({} if note == "absent" else {"note": note}) for line in lines]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert len(decode(DataConfig(str(folder))).splits["test"].inputs) == 18
    assert load_texts(str(folder))[0]["test"][0][0] == "x y"
    with pytest.raises(InputError, match="'test' has no value in column 'note'"):
        decode(DataConfig(str(folder), text_column="note"))
    with pytest.raises(InputError, match="'test' has no value in column 'note'"):
        load_texts(str(folder), "note")


def test_labels_are_never_the_texts(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(["review,text", *(f"film {k % 3},{'ab'[k % 2]}" for k in range(24))]))
    config = DataConfig(str(path), label_column="text")
    modality = decode(config).modality
    assert isinstance(modality, TextInputs)
    assert set(modality.words) == {"film", "0", "1", "2"}
    texts, labels = load_texts(str(path), label="text")[0]["train"]
    assert texts[:2] == ["film 0", "film 1"]
    assert labels[:2].tolist() == [0, 1]
    assert read_inputs(str(path), config, load(config)).unique().tolist() != [0, 1]
    with pytest.raises(InputError, match="'text' is the column of the labels"):
        decode(DataConfig(str(path), text_column="text", label_column="text"))

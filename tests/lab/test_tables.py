"""Tests of data sets in the layout of the Hugging Face Hub, from local folders."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from images_on_disk import encoded, parquet, png
from layermix import InputError, RunError
from layermix.lab.data import DataConfig, load
from layermix.lab.data.sources import decode

pytestmark = [
    pytest.mark.usefixtures("empty_caches"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


def test_parquet_folder_is_decoded_exactly(tmp_path: Path) -> None:
    labels = [row % 2 for row in range(40)]
    parquet(tmp_path / "set", "train", {"img": encoded(40), "label": labels})
    parquet(tmp_path / "set", "test", {"img": encoded(10), "label": labels[:10]})
    found = decode(DataConfig(str(tmp_path / "set")))
    expected = np.asarray(Image.open(io.BytesIO(png(3))))
    assert np.array_equal(found.splits["train"].inputs[3].permute(1, 2, 0).numpy(), expected)
    assert found.splits["train"].labels.tolist() == labels
    assert sorted(found.splits) == ["test", "train"]


def test_image_folder_has_one_class_per_subfolder(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for row in range(30):
            (tmp_path / "pets" / name / f"{row}.png").write_bytes(png(row))
    data = load(DataConfig(data=str(tmp_path / "pets")))
    assert data.classes == ("cat", "dog")
    assert len(data.train) + len(data.val) + len(data.test) == 60


def test_images_are_decoded_once_and_then_read_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(60), "label": [0, 1] * 30})
    config = DataConfig(data=str(tmp_path / "set"))
    first = load(config)
    tables = "layermix.lab.data.sources.load_tables"
    monkeypatch.setattr(tables, lambda *_: pytest.fail("decoded again"))
    second = load(config)
    assert torch.equal(first.train.inputs, second.train.inputs)
    assert first.classes == second.classes


def test_changed_folder_is_decoded_again(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(60), "label": [0, 1] * 30})
    config = DataConfig(data=str(tmp_path / "set"))
    load(config)
    parquet(tmp_path / "set", "train", {"img": encoded(90), "label": [0, 1] * 45})
    data = load(config)
    assert len(data.train) + len(data.val) + len(data.test) == 90


def test_image_folder_can_be_imbalanced(tmp_path: Path) -> None:
    for name, count in (("cat", 60), ("dog", 12)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for row in range(count):
            (tmp_path / "pets" / name / f"{row}.png").write_bytes(png(row))
    data = load(DataConfig(data=str(tmp_path / "pets")))
    counts = [part.labels.bincount().tolist() for part in (data.test, data.val, data.train)]
    assert counts == [[20, 4], [3, 2], [37, 6]]  # a tenth of 48, with two of each class


def encoded_image(image: Image.Image, kind: str = "PNG", **options: object) -> dict:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return {"bytes": buffer.getvalue(), "path": None}


def load_train_images(folder: Path, *rows: dict) -> torch.Tensor:
    parquet(folder, "train", {"img": list(rows), "label": [0] * len(rows)})
    return decode(DataConfig(str(folder))).splits["train"].inputs


def test_gray_images_among_color_images_become_rgb(tmp_path: Path) -> None:
    gray = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    rows = [encoded_image(gray), {"bytes": png(1), "path": None}]
    parquet(tmp_path / "set", "train", {"img": rows, "label": [0, 1]})
    parquet(tmp_path / "set", "test", {"img": [encoded_image(gray)] * 2, "label": [0, 1]})
    found = decode(DataConfig(str(tmp_path / "set"))).splits
    expected = torch.arange(64).view(1, 8, 8).expand(3, 8, 8)
    assert torch.equal(found["train"].inputs[0].long(), expected)
    assert torch.equal(found["test"].inputs[0].long(), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_gray_images_alone_have_one_channel(mode: str, tmp_path: Path) -> None:
    image = Image.new("L", (8, 8), 255).convert(mode)
    found = load_train_images(tmp_path / "set", encoded_image(image))
    assert torch.equal(found, torch.full((1, 1, 8, 8), 255, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("dtype", "kind"), [(np.uint16, "PNG"), (np.uint16, "TIFF"), (np.int32, "TIFF")]
)
def test_16_bit_images_are_scaled_to_8_bits(dtype: type, kind: str, tmp_path: Path) -> None:
    pixels = np.array([[0, 128, 129], [257, 32768, 65535]], dtype=dtype)
    found = load_train_images(tmp_path / "set", encoded_image(Image.fromarray(pixels), kind))
    assert found.tolist() == [[[[0, 0, 1], [1, 128, 255]]]]


@pytest.mark.parametrize(
    ("pixels", "what"),
    [
        (np.full((4, 4), 99, np.int32), "32-bit pixels from 99 to 99"),
        (np.full((4, 4), 70000, np.int32), "32-bit pixels from 70000 to 70000"),
        (np.full((4, 4), 0.5, np.float32), "floating-point pixels"),
    ],
)
def test_pixels_of_unknown_range_raise(pixels: np.ndarray, what: str, tmp_path: Path) -> None:
    message = f"row 0 of split 'train' has {what}: .* Convert the images to 8 or 16 bits"
    with pytest.raises(InputError, match=message):
        load_train_images(tmp_path / "set", encoded_image(Image.fromarray(pixels), "TIFF"))


def test_transparency_is_dropped(tmp_path: Path) -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([9, 9, 9, 200, 100, 50])
    rows = [
        encoded_image(palette, transparency=bytes([0, 128])),
        encoded_image(Image.new("RGBA", (4, 4), (200, 100, 50, 0))),
    ]
    found = load_train_images(tmp_path / "set", *rows)
    assert torch.equal(found, torch.tensor([200, 100, 50]).byte().view(3, 1, 1).expand(2, 3, 4, 4))


def test_unreadable_image_raises_with_its_row(tmp_path: Path) -> None:
    images = [*encoded(3), {"bytes": b"not an image", "path": None}]
    parquet(tmp_path / "set", "train", {"img": images, "label": [0, 1, 0, 1]})
    with pytest.raises(RunError, match="cannot read the image at row 3 of split 'train'"):
        decode(DataConfig(str(tmp_path / "set")))


def test_images_of_different_sizes_raise_unless_resized(tmp_path: Path) -> None:
    images = [{"bytes": png(row, 8 + row), "path": None} for row in range(3)]
    parquet(tmp_path / "set", "train", {"img": images, "label": [0, 1, 0]})
    with pytest.raises(InputError, match=r"row 1 .* resize all with --image-size"):
        decode(DataConfig(str(tmp_path / "set")))
    assert decode(DataConfig(str(tmp_path / "set"), image_size=6)).splits["train"].inputs.shape == (
        3,
        3,
        6,
        6,
    )


def test_float_images_raise_with_their_dtype(tmp_path: Path) -> None:
    images = [[0.5] * 4 for _ in range(4)]
    parquet(tmp_path / "set", "train", {"image": images, "label": [0, 1, 0, 1]})
    with pytest.raises(InputError, match="has float64 values, but must have encoded images"):
        decode(DataConfig(str(tmp_path / "set")))


def test_float_labels_raise_with_their_dtype(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(2), "label": [0.5, 1.0]})
    with pytest.raises(
        InputError,
        match="column 'label': split 'train' has float64 labels",
    ):
        decode(DataConfig(str(tmp_path / "set"), image_column="img"))


def test_float_labels_that_are_integers_are_classes(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(2), "label": [0.0, 1.0]})
    found = decode(DataConfig(str(tmp_path / "set"), image_column="img"))
    assert found.splits["train"].labels.tolist() == [0, 1]


def test_negative_labels_raise(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(2), "label": [-1, 1]})
    with pytest.raises(InputError, match="has the label -1, but labels must be from 0"):
        decode(DataConfig(str(tmp_path / "set")))


def test_unknown_column_error_suggests_the_closest_name(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(2), "fine_label": [0, 1]})
    with pytest.raises(InputError, match="unknown column 'fine_labels': did you mean 'fine_label'"):
        decode(DataConfig(str(tmp_path / "set"), label_column="fine_labels"))


def test_ambiguous_label_column_error_lists_the_columns(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(2), "age": [0, 1], "size": [1, 0]})
    with pytest.raises(InputError, match=r"\['img', 'age', 'size'\] is the label: .*--label-col"):
        decode(DataConfig(str(tmp_path / "set")))


def test_folder_without_a_data_set_raises(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"cannot load the data set .* doesn't contain") as error:
        decode(DataConfig(str(tmp_path / "empty")))
    assert ".." not in str(error.value)


@pytest.mark.parametrize("folder", ["/nowhere/at/all", "./nowhere", "../nowhere/at/all"])
def test_missing_folder_raises(folder: str) -> None:
    message = f"cannot load the data set '{folder}': there is no such folder or file. Use 'digits',"
    with pytest.raises(InputError, match=re.escape(message)):
        load(DataConfig(data=folder))


def test_unavailable_hub_id_raises_with_a_one_line_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"'nobody/nothing': [^.\n]+\. Use 'digits', the id"):
        load(DataConfig(data="nobody/nothing"))


def test_file_instead_of_a_folder_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"is a file, but not one of .*: pass its folder"):
        decode(DataConfig(str(tmp_path / "file")))


def test_settings_can_be_paths_and_numpy_integers(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(60), "label": [0, 1] * 30})
    config = DataConfig(tmp_path / "set", train_size=np.int64(20))  # pyright: ignore[reportArgumentType]
    assert config == DataConfig(str(tmp_path / "set"), train_size=20)
    assert type(config.train_size) is int
    assert len(load(config).train) == 20

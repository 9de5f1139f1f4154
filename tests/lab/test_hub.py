"""Data sets of the hub's layout, from real local folders."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from layermix import InputError, RunError
from layermix.lab.data import DataConfig, load
from layermix.lab.data.hub import hub

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERMIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "datasets"))


def png(seed: int, size: int = 8) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(folder: Path, name: str, columns: dict) -> None:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / f"{name}-00000-of-00001.parquet")


def encoded(count: int) -> list[dict]:
    return [{"bytes": png(row), "path": None} for row in range(count)]


def test_a_folder_of_parquet_files_is_decoded_to_the_pixel(tmp_path: Path) -> None:
    labels = [row % 2 for row in range(40)]
    parquet(tmp_path / "set", "train", {"img": encoded(40), "label": labels})
    parquet(tmp_path / "set", "test", {"img": encoded(10), "label": labels[:10]})
    found = hub(str(tmp_path / "set"))
    expected = np.asarray(Image.open(io.BytesIO(png(3))))
    assert np.array_equal(found.splits["train"].images[3].permute(1, 2, 0).numpy(), expected)
    assert found.splits["train"].labels.tolist() == labels
    assert sorted(found.splits) == ["test", "train"]


def test_a_folder_of_images_has_a_class_for_each_sub_folder(tmp_path: Path) -> None:
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
    monkeypatch.setattr("layermix.lab.data.hub", lambda *_: pytest.fail("decoded again"))
    second = load(config)
    assert torch.equal(first.train.images, second.train.images)
    assert first.classes == second.classes


def test_a_changed_folder_is_decoded_anew(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(60), "label": [0, 1] * 30})
    config = DataConfig(data=str(tmp_path / "set"))
    load(config)
    parquet(tmp_path / "set", "train", {"img": encoded(90), "label": [0, 1] * 45})
    data = load(config)
    assert len(data.train) + len(data.val) + len(data.test) == 90


def test_an_unreadable_image_is_named_by_its_row(tmp_path: Path) -> None:
    images = [*encoded(3), {"bytes": b"not an image", "path": None}]
    parquet(tmp_path / "set", "train", {"img": images, "label": [0, 1, 0, 1]})
    with pytest.raises(RunError, match="cannot read the image at row 3 of split 'train'"):
        hub(str(tmp_path / "set"))


def test_images_of_different_sizes_can_be_resized(tmp_path: Path) -> None:
    images = [{"bytes": png(row, 8 + row), "path": None} for row in range(3)]
    parquet(tmp_path / "set", "train", {"img": images, "label": [0, 1, 0]})
    with pytest.raises(InputError, match=r"row 1 .* resize all with --image-size"):
        hub(str(tmp_path / "set"))
    assert hub(str(tmp_path / "set"), image_size=6).splits["train"].images.shape == (3, 3, 6, 6)


def test_float_images_are_refused_with_their_type(tmp_path: Path) -> None:
    images = [[0.5] * 4 for _ in range(4)]
    parquet(tmp_path / "set", "train", {"image": images, "label": [0, 1, 0, 1]})
    with pytest.raises(InputError, match="holds float64 values, but encoded images"):
        hub(str(tmp_path / "set"))


def test_float_labels_are_refused_with_their_type(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(2), "label": [0.0, 1.0]})
    with pytest.raises(InputError, match="holds float64 values, but labels must be integer"):
        hub(str(tmp_path / "set"), image_column="img")


def test_negative_labels_are_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(2), "label": [-1, 1]})
    with pytest.raises(InputError, match="has the label -1, outside the 2 classes"):
        hub(str(tmp_path / "set"))


def test_an_unknown_column_gets_the_closest_name(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(2), "fine_label": [0, 1]})
    with pytest.raises(InputError, match="unknown column 'fine_labels': did you mean 'fine_label'"):
        hub(str(tmp_path / "set"), label_column="fine_labels")


def test_columns_that_cannot_be_told_are_listed(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(2), "age": [0, 1], "size": [1, 0]})
    with pytest.raises(InputError, match=r"\['img', 'age', 'size'\] is the label: .*--label-col"):
        hub(str(tmp_path / "set"))


def test_a_folder_that_holds_no_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="cannot load the data set"):
        hub(str(tmp_path / "empty"))


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file: name the folder"):
        hub(str(tmp_path / "file"))

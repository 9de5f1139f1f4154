"""Tests of data sets with class names as labels, and of tables without images."""

import gc
import warnings
from pathlib import Path

import pytest

from images_on_disk import encoded, parquet, png
from layermix import InputError
from layermix.lab.data import DataConfig, load
from layermix.lab.data.sources import decode

pytestmark = [
    pytest.mark.usefixtures("empty_caches"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

NAMES = ["dog", "cat", "eel"] * 20


def test_class_names_become_sorted_classes(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(60), "label": NAMES})
    parquet(tmp_path / "set", "test", {"img": encoded(2), "label": ["ant", "eel"]})
    found = decode(DataConfig(str(tmp_path / "set")))
    assert found.classes == ("ant", "cat", "dog", "eel")
    assert found.splits["train"].labels.tolist() == [2, 1, 3] * 20
    assert found.splits["test"].labels.tolist() == [0, 3]


def test_class_names_are_stored_in_the_cache(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(60), "label": NAMES})
    config = DataConfig(data=str(tmp_path / "set"))
    assert load(config).classes == load(config).classes == ("cat", "dog", "eel")


def test_class_names_are_read_from_image_folder_metadata(tmp_path: Path) -> None:
    folder = tmp_path / "set/train"
    folder.mkdir(parents=True)
    for row in range(60):
        (folder / f"{row:02}.png").write_bytes(png(row))
    rows = [f"{row:02}.png,{name}" for row, name in enumerate(NAMES)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,label", *rows]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # datasets leaves the table open
        found = decode(DataConfig(str(tmp_path / "set")))
        gc.collect()
    assert found.classes == ("cat", "dog", "eel")
    assert found.splits["train"].labels.tolist() == [1, 0, 2] * 20


def test_missing_label_raises(tmp_path: Path) -> None:
    parquet(tmp_path / "set", "train", {"img": encoded(2), "label": ["cat", None]})
    with pytest.raises(
        InputError, match="column 'label': split 'train' has 1 missing label: remove"
    ):
        decode(DataConfig(str(tmp_path / "set")))


@pytest.mark.parametrize(
    ("head", "row", "kind"),
    [("text,label", "a film,1", "text"), ("height,width,label", "1.5,2.5,cat", "table")],
)
def test_modality_is_found_from_the_columns(head: str, row: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/train.csv").write_text("\n".join([head, *[row] * 9]))
    assert decode(DataConfig(str(tmp_path / "set"))).modality.name == kind


def test_folder_named_like_a_dataset_reader_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet(tmp_path / "text", "train", {"img": encoded(2), "label": ["a", "b"]})
    monkeypatch.chdir(tmp_path)
    assert decode(DataConfig("text")).classes == ("a", "b")

"""Unusual folders of images and sounds: links, empty classes, and names of files and classes."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bad_inputs import attempt
from layermix.lab.data import DataConfig, load
from media_folders import RECIPE, all_inputs, image_folder, refuse, sound_folder

pytestmark = pytest.mark.usefixtures("empty_caches")


def renamed(old: str, new: bytes) -> Callable[[Path], None]:
    return lambda folder: os.rename(folder / old, os.fsencode(folder) + b"/" + new)


def with_file(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "one class": (lambda folder: shutil.rmtree(folder / "dog"), "class"),
    "no images": (lambda folder: [path.unlink() for path in folder.rglob("*.png")], "images"),
    "one image of a class": (
        lambda folder: [(folder / f"dog/{k}.png").unlink() for k in range(7)],
        "'dog' has 1",
    ),
    "a class without images": (lambda folder: (folder / "bird").mkdir(), "bird"),
    "non-UTF-8 class": (renamed("dog", b"\xff\xfe"), "UTF-8"),
    "non-UTF-8 file": (renamed("dog/0.png", b"dog/\xff.png"), "UTF-8"),
    "empty class of the training split": (
        lambda folder: (
            [shutil.move(folder / name, folder / f"train/{name}") for name in ("cat", "dog")]
            and (folder / "train/bird").mkdir()
        ),
        "train/bird",
    ),
    "line break in a class": (renamed("dog", b"do\ng"), "do\\ng"),
    "dots before a class": (renamed("dog", b"..dog"), "..dog"),
    "dots before a folder of classes": (
        lambda folder: shutil.copytree(folder / "dog", folder / ".more/bird"),
        ".more/bird",
    ),
    "link to a class": (
        lambda folder: (folder / "bird").symlink_to(shutil.move(folder / "dog", folder.parent)),
        "bird",
    ),
    "variable as a class": (renamed("dog", b"$HOME"), "$HOME"),
    "damaged metadata": (with_file("metadata.jsonl", "{"), "JSON"),
    "file outside": (with_file("metadata.csv", "file_name,label\n../../x,1\n"), "../../x"),
    "metadata without columns": (with_file("metadata.csv", "x\n"), "file_name"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_bad_folder_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, part = FOLDERS[name]
    folder = image_folder(tmp_path / "images")
    change(folder)
    refuse(folder, part, capsys)


@pytest.mark.parametrize("kind", ["images", "sounds"])
@pytest.mark.parametrize("link", ["loop", "up", "gone"])
def test_links_in_a_folder_are_followed_once(kind: str, link: str, tmp_path: Path) -> None:
    folder = (image_folder if kind == "images" else sound_folder)(tmp_path / kind)
    suffix = "png" if kind == "images" else "wav"
    path, target = {
        "loop": (folder / f"cat/loop.{suffix}", f"loop.{suffix}"),
        "up": (folder / "cat/up", ".."),
        "gone": (folder / f"cat/gone.{suffix}", "nowhere"),
    }[link]
    path.symlink_to(target)
    assert len(all_inputs(folder)) == 16


@pytest.mark.parametrize("name", [".git/objects", "__MACOSX/cat", ".ipynb_checkpoints"])
def test_hidden_folders_without_images_are_ignored(name: str, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "images")
    (folder / name).mkdir(parents=True)
    (folder / name / "._0.png").write_text("no image")
    (folder / name / "0.txt").write_text("no image")
    assert len(all_inputs(folder)) == 16


CLASSES = [
    "<img src=x onerror=alert(1)>",
    "\x1b[31m",
    "x" * 255,
    "é" * 100,
    "\u202ecba",
    "&amp;",
    "...",
    "*",
    "[a-z]",
    "-x",
]
CLASSES += ["a,b", '"', "{{ 7 * 7 }}", "%s", "a\tb", "~", "\x9b31m", " "]


@pytest.mark.parametrize("name", CLASSES, ids=[repr(name)[:20] for name in CLASSES])
def test_unusual_class_names_are_kept(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = image_folder(tmp_path / "images", ("cat", name))
    assert set(load(DataConfig(str(folder))).classes) == {"cat", name}
    words = ["train", "--data", str(folder), *RECIPE.split(), "--out", str(tmp_path / "run")]
    assert attempt(words, capsys).code == 0


def with_image(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(next(folder.rglob("cat/0.*")), folder / name)

    return change


def with_folder(name: str, file: str = "") -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).mkdir(parents=True)
        if file:
            (folder / name / file).write_text("x")

    return change


OTHERS: dict[str, Callable[[Path], object]] = {
    "documents": with_folder("docs", "readme.txt"),
    "annotations beside classes": with_folder("train/annotations", "0.xml"),
    "annotations": with_folder("annotations", "0.xml"),
    "no files beside splits": with_folder("docs"),
    "empty class of the test split": with_folder("test/bird"),
    "checkpoints of a class": with_image("train/cat/.ipynb_checkpoints/0-checkpoint.png"),
    "checkpoints": with_image("train/.ipynb_checkpoints/0-checkpoint.png"),
    "thumbnails of a class": with_image("train/cat/.thumbs/0.png"),
    "link to all": lambda folder: (folder / "train/all").symlink_to(".."),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_folders_in_a_folder_of_images_are_ignored(name: str, tmp_path: Path) -> None:
    for split in ("train", "test"):
        image_folder(tmp_path / "images" / split)
    OTHERS[name](tmp_path / "images")
    assert len(all_inputs(tmp_path / "images")) == 32


def test_unlabeled_images_beside_splits_are_ignored(tmp_path: Path) -> None:
    for split in ("train", "test", "unlabeled"):
        image_folder(tmp_path / "images" / split)
    assert len(all_inputs(tmp_path / "images")) == 32


def test_documents_in_a_folder_of_sounds_are_ignored(tmp_path: Path) -> None:
    folder = sound_folder(tmp_path / "sounds")
    with_folder("docs", "readme.txt")(folder)
    assert len(all_inputs(folder)) == 16


def test_empty_class_of_sounds_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sound_folder(tmp_path / "sounds")
    with_folder("bird")(folder)
    refuse(folder, "bird", capsys)


def test_readme_can_set_the_classes_that_are_read(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "images", ("cat", "dog", "bird"))
    parts = "[{split: train, path: ['cat/*', 'dog/*']}]"
    head = f"configs: [{{config_name: default, data_files: {parts}}}]"
    (folder / "README.md").write_text(f"---\n{head}\n---\n")
    assert len(all_inputs(folder)) == 16

"""Fixtures of several files: empty caches of data sets, and a small trained study."""

import shutil
from pathlib import Path

import pytest

from wrong_records import train_small_study


@pytest.fixture
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use empty data set caches in a test."""
    monkeypatch.setenv("LAYERMIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "datasets"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small study once for the tests of a file, which must not change it."""
    return train_small_study(tmp_path_factory.mktemp("whole") / "study")


@pytest.fixture
def study(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of the small study that a test can change."""
    return shutil.copytree(whole, tmp_path / "study")

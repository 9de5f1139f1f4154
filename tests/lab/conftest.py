"""Fixture with empty data set caches, so that tests do not share cached data sets."""

from pathlib import Path

import pytest


@pytest.fixture
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use empty data set caches in a test."""
    monkeypatch.setenv("LAYERMIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "datasets"))

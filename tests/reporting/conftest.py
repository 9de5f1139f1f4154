"""Fixture that draws the figures of a report."""

import pytest

from layermix.lab import DataConfig, Recipe, StudyConfig, StudyFolder
from layermix.reporting.figures import Figure, draw_all
from made_summaries import made_summary


@pytest.fixture(scope="module")
def draw(tmp_path_factory):
    """Return a function that draws the figures of a synthetic summary and returns them by name."""
    config = StudyConfig(DataConfig(), "mlp", Recipe(), ("none",), (0,))
    plain = StudyFolder(config, tmp_path_factory.mktemp("plain"))  # without features

    known: dict[str, dict[str, Figure]] = {}

    def drawn(summary=None, study: StudyFolder = plain, **settings) -> dict[str, Figure]:
        if summary is None and study is plain and str(settings) in known:
            return known[str(settings)]
        found = {f.name: f for f in draw_all(study, summary or made_summary(**settings))}
        return known.setdefault(str(settings), found) if summary is None else found

    return drawn

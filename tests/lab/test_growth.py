"""Tests of studies that grow: seeds and variants are added in the same folder."""

import json
from pathlib import Path

import pytest

from layermix.errors import InputError, RunError
from layermix.lab import DataConfig, Execution, Recipe, StudyFolder, configure, train_study

RECIPE = Recipe(epochs=1, batch_size=20, monitor=0, geometry=False)
DATA = DataConfig(train_size=60)


def planned(*variants: str, seeds: int = 1, **settings):
    return configure(DATA, "mlp", RECIPE, variants, seeds=seeds, **settings)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grown") / "study"
    train_study(planned("none", "input"), folder, Execution(workers=1))
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "runs").iterdir()}
    train_study(planned("none", "input", seeds=2), folder, Execution(workers=1))
    train_study(planned("final", seeds=2), folder, Execution(workers=1))
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "runs").iterdir()}
    assert {name: after[name] for name in before} == before
    return folder


def test_added_seeds_and_variants_join_the_finished_runs(grown: Path) -> None:
    study = StudyFolder.open(grown)
    assert study.config.variants == ("none", "input", "final")
    assert study.config.seeds == (0, 1)
    assert len(study.run_results()) == 6


def test_stages_are_recorded(grown: Path) -> None:
    stages = json.loads((grown / "study.json").read_text())["grown"]
    assert [(s["seeds"], s["variants"], s["runs"]) for s in stages] == [
        ([0], ["none", "input"], 2),
        ([0, 1], ["none", "input"], 4),
    ]
    assert json.loads(json.dumps([vars(s) for s in StudyFolder.open(grown).grown])) == stages


def test_fewer_seeds_keep_the_study_as_it_is(grown: Path) -> None:
    assert StudyFolder(planned("none"), grown).config.seeds == (0, 1)
    assert len(json.loads((grown / "study.json").read_text())["grown"]) == 2


@pytest.mark.parametrize(
    ("settings", "difference"),
    [
        ({"margin": 1.0}, "margin = 0.5"),
        ({"looks": (6, 9), "seeds": 6}, "looks = none instead of 6 9"),
    ],
)
def test_margin_and_looks_are_fixed_before_the_study(grown, settings, difference) -> None:
    with pytest.raises(InputError, match=f"belongs to another study, with {difference}"):
        StudyFolder(planned("none", **settings), grown)


def test_study_of_another_format_raises(grown: Path, tmp_path: Path) -> None:
    content = json.loads((grown / "study.json").read_text())
    del content["format"]  # as written by earlier versions
    (tmp_path / "study.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match="has format 1, but this version of layermix reads format 2"):
        StudyFolder.open(tmp_path)
    with pytest.raises(RunError, match="use the version that wrote it, or another --out"):
        StudyFolder(planned("none", seeds=3), tmp_path)


@pytest.mark.parametrize("looks", [(10,), (10, 10), (20, 10), (0, 5), (5, 10)])
def test_invalid_looks_raise(looks: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="two or more increasing numbers"):
        planned("none", looks=looks)


def test_looks_and_another_number_of_seeds_raise() -> None:
    with pytest.raises(InputError, match="seeds is 30, but looks are"):
        planned("none", "final", seeds=30, looks=(6, 12))


def test_study_with_looks_starts_with_the_seeds_of_the_first() -> None:
    config = planned("none", "final", seeds=10, looks=(6, 12))
    assert (config.seeds, config.looks) == (tuple(range(6)), (6, 12))


@pytest.mark.parametrize("margin", [0.0, -1.0, 100.0])
def test_invalid_margin_raises(margin: float) -> None:
    with pytest.raises(InputError, match=f"margin is {margin}"):
        planned("none", margin=margin)

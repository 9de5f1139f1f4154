"""Tests of exported records: every number equals the stored one."""

import csv
import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from layermix.cli import run_cli
from layermix.errors import InputError
from layermix.lab import StudyFolder
from layermix.reporting.export import export_csv, export_tensorboard
from stored_runs import run_folder
from wrong_records import train_small_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    folder = train_small_study(tmp_path_factory.mktemp("exported") / "study", epochs=2)
    return StudyFolder.open(folder)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_have_each_run_and_each_epoch(study: StudyFolder, tmp_path: Path) -> None:
    runs, epochs = map(rows_of, export_csv(study, tmp_path / "new"))
    results = study.run_results()
    assert [(row["variant"], int(row["seed"])) for row in runs] == [
        (cell.variant, cell.seed) for cell in results
    ]
    for row, result in zip(runs, results.values(), strict=True):
        assert float(row["test.accuracy"]) == result.test["accuracy"]
        assert float(row["val.nll"]) == result.val["nll"]
        assert row["conditions.torch"] == result.conditions["torch"]
    recorded = [record for result in results.values() for record in result.records]
    assert len(epochs) == len(recorded) == 4 * 3
    for row, record in zip(epochs, recorded, strict=True):
        assert int(row["epoch"]) == record["epoch"]
        for column, wanted in (
            ("snnl.final.value", record.get("snnl", {}).get("final", {}).get("value")),
            ("train_loss", record.get("train_loss")),
        ):
            assert row[column] == ("" if wanted is None else repr(wanted))


def test_events_have_the_scalars_of_each_epoch(study: StudyFolder, tmp_path: Path) -> None:
    export_tensorboard(study, tmp_path)
    folders = export_tensorboard(study, tmp_path)  # replaces the first
    for folder, result in zip(folders, study.run_results().values(), strict=True):
        read = EventAccumulator(str(folder)).Reload()
        found = {event.step: event.value for event in read.Scalars("val_accuracy")}
        recorded = [record for record in result.records if "val_accuracy" in record]
        wanted = {record["epoch"]: record["val_accuracy"] for record in recorded}
        assert found.keys() == wanted.keys()
        assert all(math.isclose(found[step], wanted[step], rel_tol=1e-6) for step in wanted)
        (final,) = read.Scalars("final/test/accuracy")
        assert final.step == 2
        assert math.isclose(final.value, result.test["accuracy"], rel_tol=1e-6)


def test_command_names_what_is_left_out(
    study: StudyFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = run_folder(study.folder, "input-seed1") / "result.json"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:50])
    try:
        run_cli(["export", str(study.folder), "--to", "csv", "--out", str(tmp_path)])
    finally:
        damaged.write_bytes(content)
    text = " ".join(capsys.readouterr().out.split())
    assert "2 files are in" in text
    assert "input-seed1 is left out: " in text
    assert len(rows_of(tmp_path / "runs.csv")) == 3


def test_export_without_a_finished_run(study: StudyFolder, tmp_path: Path) -> None:
    empty = StudyFolder(study.config, tmp_path / "empty")
    with pytest.raises(InputError, match=r"no run of the study in .*empty is finished yet"):
        export_csv(empty, tmp_path / "out")
    assert not (tmp_path / "out").exists()

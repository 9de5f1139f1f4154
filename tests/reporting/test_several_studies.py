"""Tests of the terminal output of `layermix report` for one study and for several."""

import re
import shutil
from pathlib import Path

import pytest

from layermix.cli import run_cli
from layermix.experiments import DataConfig, Recipe, compare, configure

VARIANTS = ("none", "input", "block1", "final")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "one"
    recipe = Recipe(epochs=1, batch_size=20, monitor=1)
    data = DataConfig(train_size=100)
    compare(configure(data, "mlp", recipe, VARIANTS, seeds=2), folder, workers=1)
    return folder


def test_report_of_one_study_prints_its_prediction(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_cli(["report", str(folder)])
    before, _, after = capsys.readouterr().out.partition("└")
    assert before.startswith("Building the report ...\n")
    assert "test data, mean over splits and seeds" in before
    *lines, report = after.splitlines()[1:]
    prediction = " ".join(line.strip() for line in lines)
    assert prediction.startswith("SNNL is not shown to predict where mixing gains most: mean rho ")
    assert "3 layers are too few" in prediction
    assert "depth" in prediction
    assert report == f"Report: {folder}/report.html"
    assert max(map(len, [*before.splitlines(), *lines])) <= 110


def test_report_of_several_studies_prints_each_and_a_combined_table(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(folder, tmp_path / "two")
    few = shutil.copytree(folder, tmp_path / "few")
    for path in few.glob("runs/*"):
        if path.name.startswith("none"):
            shutil.rmtree(path)
    run_cli(["report", str(folder), str(other), str(few)])
    out = capsys.readouterr().out
    lines = out.splitlines()
    each = [f"digits, mlp: {path}/report.html" for path in (folder, other, few)]
    assert lines[1:6:2] == each
    assert lines[4] == f"Building the report of {few} ..."
    assert all((path / "report.html").exists() for path in (folder, other, few))
    (head,) = [line for line in lines if "┃ quantity" in line]
    assert [cell.strip() for cell in head.split("┃")[3:-1]] == [
        "one",
        "two",
        "few",
        "mean over studies",
    ]
    (row,) = [line for line in lines if "│ SNNL / chance" in line]
    one, two, three, over = re.findall(r"[+−]\d\.\d\d|–", row)[-4:]
    assert one == two == over
    assert three == "–"
    printed = " ".join(line.strip() for line in lines)
    assert "few: This study cannot show" in printed
    assert "2 studies are too few" in printed
    assert max(map(len, lines[6:-1])) <= 110
    page = folder / "geometry.md"
    assert lines[-1] == f"Over all studies: {page}"
    text = page.read_text()
    assert "2 studies are too few" in text
    assert "| quantity | sign | one | two | few | mean over studies |" in text
    assert re.search(r"\n\| \*\*depth, the baseline\*\* \| ± \| [+−]\d\.\d\d ", text)
    assert "\nfew: This study cannot show" in text
    run_cli(["report", str(folder), str(other), str(few)])
    assert page.read_text() == text


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("one/../one", "is named twice: name each folder once"),
        ("nowhere", "there is no study in"),
    ],
)
def test_invalid_folder_exits_before_any_report_is_built(
    folder: Path, tmp_path: Path, second: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = shutil.copytree(folder, tmp_path / "one")
    (first / "report.html").unlink(missing_ok=True)
    with pytest.raises(SystemExit) as stop:
        run_cli(["report", str(first), str(tmp_path / second)])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not (first / "report.html").exists()

"""Tests of `layermix profile`: model families, output files, and invalid settings."""

import csv
import json
import shlex
from pathlib import Path

import pytest

from few_examples import few
from layermix.cli import run_cli
from layermix.lab.profiling import take_profile

pytestmark = [
    pytest.mark.usefixtures("empty_caches"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


STAGES = {
    "mlp": ["block1", "block2", "block3"],
    "timm:test_resnet": None,
    "timm:test_vit": ["blocks.0", "blocks.1", "blocks.2", "blocks.3", "blocks.4", "blocks.5"],
    "timm:test_convnext": ["stages.0", "stages.1", "stages.2", "stages.3"],
}


@pytest.mark.parametrize("net", STAGES)
def test_profile_supports_every_model_family(net: str) -> None:
    found = take_profile(few(net))
    assert found.points[0] == "input"
    assert found.points[-2:] == ["final", "logits"]
    assert STAGES[net] in (None, found.points[1:-2])
    assert len(found.points) > 4
    assert found["final"].values["gap"] == pytest.approx(0, abs=1e-5)
    assert found.notices[0].startswith("Weights: random, of seed 0")


def test_profile_prints_a_table_and_writes_by_file_extension(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for ending in ("json", "csv", "svg"):
        run_cli(shlex.split(f"profile --model mlp --examples 100 --out {tmp_path}/new/p.{ending}"))
    out = capsys.readouterr().out
    assert "mix point" in out
    assert "soft nearest neighbor loss over chance" in out
    assert json.loads((tmp_path / "new/p.json").read_text())["n"] == 100
    rows = list(csv.DictReader((tmp_path / "new/p.csv").read_text().splitlines()))
    assert [row["point"] for row in rows][-2:] == ["final", "logits"]
    assert "<svg" in (tmp_path / "new/p.svg").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model resnet19", "unknown model 'resnet19'"),
        ("--weights nowhere.safetensors", "cannot read weights from nowhere.safetensors"),
        ("--model nowhere --out p.xlsx", "it must end in .json, .csv, .svg"),
        ("--model mlp --out p.pkl", "it must end in .json, .csv, .svg"),
        ("--model transformers:nowhere/x", "there is no configuration 'nowhere/x'"),
        ("--model mlp --points blok1", "unknown mix point 'blok1': did you mean 'block1'"),
        ("--examples 2", "examples is 2, but must be"),
    ],
)
def test_invalid_profile_arguments_exit_with_code_2(
    words: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # no network access
    with pytest.raises(SystemExit) as stop:
        run_cli(shlex.split(f"profile {words}"))
    assert stop.value.code == 2
    assert message in capsys.readouterr().err

"""Tests of the survey of models that can be mixed at the final layer and after every block."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

import layermix as lm
from benchmarks.__main__ import main
from benchmarks.survey import LIBRARIES, MIXED, Row, read_rows, summary, survey
from benchmarks.survey.examine import examine
from benchmarks.survey.libraries import Library
from benchmarks.survey.run import check_models, row_of
from layermix.lab.display import open_console

FEW = [
    *("timm:resnet18", "timm:vit_tiny_patch16_224", "timm:levit_128", "torchvision:squeezenet1_0"),
    *("transformers:bert", "transformers:wavlm"),
]
MORE = [
    *("timm:swin_tiny_patch4_window7_224", "timm:crossvit_9_240", "timm:hrnet_w18_small"),
    *("timm:mobilenetv3_small_050", "torchvision:swin_t", "transformers:vit", "transformers:gpt2"),
]


@pytest.mark.parametrize(
    "model", [*FEW, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_models_of_every_library_are_mixed_at_every_point(model: str) -> None:
    (row,) = survey([model])
    assert row.verdict == MIXED
    assert row.final == "yes"
    assert row.mixed_blocks == row.blocks > 0


@pytest.mark.slow
def test_block_with_windows_in_its_batch_dim_is_rejected() -> None:
    (row,) = survey(["timm:tnt_s_patch16_224"])
    assert row.verdict == (
        "blocks.0: its output has shape (588, 16, 24) for a batch of 3, so its first dimension is "
        "not the batch"
    )
    assert (row.blocks, row.mixed_blocks, row.final) == (12, 0, "yes")


@pytest.mark.slow
def test_block_bypassed_by_an_auxiliary_head_is_rejected() -> None:
    (row,) = survey(["torchvision:inception_v3"])
    assert row.verdict.startswith("Mixed_7a: ")
    assert "bypasses it to the outputs 'aux_logits'" in row.verdict
    assert (row.mixed_blocks, row.final) == (row.blocks - 3, "yes")  # this block and the next two


class Blocks(nn.Module):
    """Model with two blocks. `forward` calls the given function."""

    def __init__(self, run: Any) -> None:
        super().__init__()
        self.block1 = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        self.block2 = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        self.fc, self.run = nn.Linear(4, 5), run

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.run(self, x))


def survey_row(run: Any) -> Row:
    return examine("own", "net", "nets", Blocks(run), torch.randn(3, 4))


def test_block_bypassed_by_the_example_is_rejected() -> None:
    found = survey_row(lambda net, x: net.block2(x) + net.block1(x))
    assert found.verdict.startswith("block1: ")
    assert "of an example bypasses it to the output" in found.verdict
    assert (found.numbers, found.family, found.parameters) == ("real", "nets", 105)
    assert (found.blocks, found.mixed_blocks, found.final) == (2, 0, "yes")


def test_block_called_twice_is_rejected() -> None:
    found = survey_row(lambda net, x: net.block2(net.block1(net.block1(x))))
    assert (
        found.verdict == "block1: it is called 2 times in one forward pass, but a mix happens once"
    )
    assert (found.blocks, found.mixed_blocks, found.final) == (2, 1, "yes")


def test_failing_model_is_listed_with_its_error() -> None:
    found = survey_row(lambda net, x: x[:, :3])
    assert "Blocks failed on a batch of shape (2, 4)" in found.verdict


def test_partial_table_is_continued(tmp_path: Path) -> None:
    table = tmp_path / "models.csv"
    models = ["torchvision:squeezenet1_0", "torchvision:squeezenet1_1"]
    first = list(survey(models[:1], table))
    table.write_text(table.read_text().replace("3, 224", "3, 225"))  # not measured again
    both = list(survey(models, table))
    assert [found.model for found in both] == ["squeezenet1_0", "squeezenet1_1"]
    assert both[0].input == first[0].input.replace("224", "225", 1)
    assert read_rows(table) == both


def test_unknown_libraries_and_models_raise() -> None:
    with pytest.raises(lm.InputError, match=r"^unknown library 'tim': did you mean 'timm'"):
        next(survey(["timm:resnet18", "tim"]))
    with pytest.raises(lm.InputError, match=r"^unknown model of timm 'resnet17': did you mean"):
        next(survey(["timm:resnet17"]))


def test_model_names_are_printed_without_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(name: str, real: bool) -> tuple[nn.Module, Tensor]:
        return Blocks(lambda net, x: net.block2(net.block1(x))), torch.randn(3, 4)

    monkeypatch.setitem(LIBRARIES, "made", Library(lambda: ["net[/b]"], build))
    check_models(["made:net[/b]"], None, open_console())
    assert "made: 1 of 1 models (100.0%) can be mixed" in capsys.readouterr().out


def test_timm_library_lists_every_model() -> None:
    assert LIBRARIES["timm"].names() == timm.list_models()


def test_summary_counts_and_lists_models_that_are_not_mixed() -> None:
    rows = [
        Row("timm", "a", "as", "(3, 8)", "real", 9, 4, 4, "yes", MIXED),
        Row("timm", "b", "bs", "(3, 8)", "shapes", 9, 4, 0, "no", "final: it has none"),
    ]
    assert summary(rows) == (
        "timm: 1 of 2 models (50.0%) can be mixed at their final layer and after every block\n"
        "  measured with real numbers: 1 of 1 models (100.0%) in 1 families; 1 have a final layer "
        "and a block that are cuts\n"
        "  b (shapes): final: it has none"
    )


def test_survey_command_checks_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(shlex.split(f"survey torchvision:alexnet --out {tmp_path}/models.csv"))
    out = capsys.readouterr().out
    assert "torchvision: 1 of 1 models (100.0%) can be mixed at their final layer" in out
    assert [found.model for found in read_rows(tmp_path / "models.csv")] == ["alexnet"]


PARTS = 24
TABLES = sorted((Path(__file__).parents[2] / "benchmarks").glob("models-*.csv"))


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("part", range(PARTS))
def test_all_models_are_mixed_except_those_in_the_tables(library: str, part: int) -> None:
    listed = {
        (r.library, r.model) for table in TABLES for r in read_rows(table) if r.verdict != MIXED
    }
    names = LIBRARIES[library].names()[part::PARTS]
    found = [row_of(library, name, real=False) for name in names]
    failing = [r for r in found if r.verdict != MIXED and (library, r.model) not in listed]
    assert failing == []

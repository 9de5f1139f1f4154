"""Tests of the command line: examples, exit codes, and messages without tracebacks."""

import re
import shlex
import signal
import sys
import time
from pathlib import Path

import pytest

import layermix
from command_line import FEW, STAR_STUDY, heed_interrupts, start, write_star
from layermix.cli import run_cli


def exit_code_and_stderr(
    words: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int | str | None, str]:
    with pytest.raises(SystemExit) as stop:
        run_cli(shlex.split(words))
    return stop.value.code, capsys.readouterr().err


COMMANDS = ["", "compare", "train", "points", "profile", "methods", "report"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_starts_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run_cli([*command.split(), "--help"])
    usage, example = capsys.readouterr().out.split("\n\n")[:2]
    assert stop.value.code == 0
    assert usage.startswith(f"usage: layermix {command}".strip())
    assert re.match(rf"layermix {command or 'compare'}\b", example)


def test_points_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    run_cli(shlex.split("points --model resnet18"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["mix", "point", "kind", "module", "shape", "of", "one", "example"]
    assert [line.split()[0] for line in lines[1:]] == [
        "input",
        *(f"layer{k}" for k in range(1, 5)),
        "final",
        "logits",
    ]


def test_train_prints_metrics_and_saves_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_cli(shlex.split(f"train {FEW} --variant block1 --out {tmp_path}/one"))
    out = capsys.readouterr().out
    assert "epoch 1/1" in out
    assert "Test accuracy" in out
    assert (tmp_path / "one/weights.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (f"train {FEW} --variant blok2", "unknown variant 'blok2': did you mean 'block2'"),
        ("train --model resnet19", "unknown model 'resnet19': did you mean 'resnet18'"),
        ("train --data nothere", "unknown data set 'nothere'"),
        ("train --data ./nothere", "cannot load the data set './nothere'"),
        ("train --train-size 7", "7 examples cannot cover 10 classes"),
        ("train --alpha 0", "alpha is 0.0, but must be finite and above 0"),
        ("train --crop 9", "crop is 9, but must be below the size of 8 pixels"),
        ("train --batch-size 1", "batch_size is 1, but must be 2 or more to mix pairs"),
        ("train --device gpu", "device 'gpu' is not available"),
        ("compare --seeds 1 --workers 0", "workers is 0, but must be from 1 to 10,000"),
        ("points --model resnet18 --image-size 0", "image-size is 0, but must be from 1 to 4,096"),
        ("points --model timm:vgg11 --image-size 9", "VGG failed on a batch of shape (2, 3, 9, 9)"),
        ("compare --seeds 0", "seeds is 0, but must be from 1 to 1,000,000"),
        ("compare --crop 8", "crop is 8, but must be below the size of 8 pixels"),
        ("points --classes 0", "classes is 0, but must be from 1 to 1,000,000"),
        ("report nowhere", "there is no study in nowhere: a study's folder has a study.json"),
        (
            "train --model timm:vgg11",
            "The images are 1 × 8 × 8: if this is the cause, resize them with --image-size",
        ),
    ],
)
def test_invalid_input_exits_with_code_2_and_a_message(
    words: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, err = exit_code_and_stderr(words, capsys)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_model_factory_is_imported_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "from torch import nn\ndef net(num_classes): return nn.Linear(8, num_classes)\n"
    (tmp_path / "own_net.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    run_cli(shlex.split("points --model own_net:net --image-size 8"))
    assert "final" in capsys.readouterr().out


def test_missing_command_error_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    code, err = exit_code_and_stderr("", capsys)
    assert code == 2
    assert "{compare, train, points" in err


def test_unknown_flag_exits_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_and_stderr("compare --sedes 3", capsys)[0] == 2


def test_failed_training_exits_with_code_1_and_keeps_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, err = exit_code_and_stderr(f"train {FEW} --lr 1e30 --epochs 9 --out {tmp_path}/x", capsys)
    assert code == 1
    assert re.search(r"the loss became \w+ at step \d+ of \d+", err)
    assert f"Its records are in {tmp_path}/x-unfinished" in err
    assert (tmp_path / "x-unfinished/epochs.jsonl").read_text().startswith('{"epoch": 0')


@pytest.mark.slow
def test_interrupted_training_prints_the_folder_of_its_records(tmp_path: Path) -> None:
    process = start(f"train {FEW} --epochs 10000 --out {tmp_path}/x", preexec_fn=heed_interrupts)
    while not list(tmp_path.glob(".x.*/epochs.jsonl")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.startswith(f"layermix: stopped. The records are in {tmp_path}/x-unfinished;")
    assert (tmp_path / "x-unfinished/epochs.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "name", "message"),
    [
        ("profile", "profile_model.take_profile", "stopped. An unfinished profile is not kept"),
        (
            "compare",
            "compare.lab.configure",
            "stopped. Finished runs are kept; repeat the command to continue",
        ),
        ("points", "list_points.build", "stopped"),
    ],
)
def test_interrupted_command_prints_one_line(
    words: str,
    name: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"layermix.cli.{name}", stop)
    assert exit_code_and_stderr(words, capsys) == (130, f"layermix: {message}\n")


def test_version_flag_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    run_cli(["--version"])
    assert capsys.readouterr().out == f"layermix {layermix.__version__}\n"


def test_debug_flag_raises_the_original_error() -> None:
    with pytest.raises(ValueError, match="unknown model"):
        run_cli(["train", "--model", "resnet19", "--debug"])


def test_user_names_are_printed_without_markup_or_emoji(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rich does not interpret user names as markup ([b]) or emoji (:m:)."""
    write_star(tmp_path)
    monkeypatch.chdir(tmp_path)
    run_cli([*STAR_STUDY.split(), "--workers", "1", "--out", ":m:[b]"])
    shown = capsys.readouterr().out
    assert "digits, starry:star: test data" in shown
    assert "Report: :m:[b]/report.html" in shown

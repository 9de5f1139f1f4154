"""Tests that the code, commands and links of the README work."""

import re
import shlex
from pathlib import Path

import pytest

from documents import ROOT, missing_links, run_python
from layermix.cli import run_cli

README = ROOT / "README.md"
COMMANDS = re.findall(
    r"^    (layermix [^#\n]+)", README.read_text(encoding="utf-8"), flags=re.MULTILINE
)


def test_readme_code_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # for the folder of its study
    assert run_python(README) == 7
    assert "final" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_commands_use_existing_flags(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, subcommand, *words = shlex.split(command)
    with pytest.raises(SystemExit) as stop:
        run_cli([subcommand, "--help"])
    assert stop.value.code == 0
    help_text = capsys.readouterr().out
    for word in words:
        assert not word.startswith("--") or f"{word} " in help_text, word


def test_readme_links_exist() -> None:
    assert missing_links(README) == []

"""What the README says runs as written."""

import re
import shlex
from pathlib import Path

import pytest

from layermix.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (layermix [^#\n]+)", README, flags=re.MULTILINE)


def test_its_python_runs_from_top_to_bottom(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 5
    exec("".join(blocks), {})
    assert "final" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_have_the_flags_they_use(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, subcommand, *words = shlex.split(command)
    with pytest.raises(SystemExit) as stop:
        main([subcommand, "--help"])
    assert stop.value.code == 0
    help_text = capsys.readouterr().out
    for word in words:
        assert not word.startswith("--") or f"{word} " in help_text, word


def test_its_files_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert (Path(__file__).parents[1] / link).exists(), link

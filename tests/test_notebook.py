"""Tests of the notebook: it has its outputs, and runs from top to bottom."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "examples" / "final_layer.ipynb"
LINES = re.compile(r"^(none|input|final) +(\d+\.\d\d)% as trained, +(\d+\.\d\d)% with clean", re.M)
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def outputs(path: Path) -> list[dict]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [output for cell in cells for output in cell.get("outputs", [])]


def text(path: Path) -> str:
    return "".join("".join(output.get("text", [])) for output in outputs(path))


def test_notebook_keeps_its_outputs() -> None:
    found = outputs(PATH)
    assert sum("image/png" in output.get("data", {}) for output in found) == 3
    assert not [output for output in found if output["output_type"] == "error"]
    assert [name for name, *_ in LINES.findall(text(PATH))] == ["none", "input", "final"]
    assert "/tmp" not in text(PATH)


@pytest.mark.slow
def test_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    path = tmp_path / "executed.ipynb"
    subprocess.run([sys.executable, "-c", EXECUTE, PATH, path], check=True)
    found = LINES.findall(text(path))
    assert [name for name, *_ in found] == ["none", "input", "final"]
    assert all(80 < float(value) < 100 for _, *values in found for value in values)

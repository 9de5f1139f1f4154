"""Functions that read a Markdown page: its Python code, links, headings and tables."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python_of(page: Path) -> list[str]:
    """Return the Python code blocks, in order."""
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def run_python(page: Path) -> int:
    """Run the Python code blocks from top to bottom, and return their number."""
    blocks = python_of(page)
    exec(compile("\n".join(blocks), str(page), "exec"), {})
    return len(blocks)


def missing_links(page: Path) -> list[str]:
    """Return the links to files that do not exist."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert links, page
    return [link for link in links if not (page.parent / link).exists()]


def headings(page: Path) -> list[str]:
    """Return the headings of the second level, in order."""
    return re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)


def row_of(page: Path, first: str) -> list[str]:
    """Return the cells of the first table row whose first cell is `first`."""
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] == first:
            return cells
    raise AssertionError(f"{page} has no row {first}")

"""What tests read in a page of Markdown: its Python, its links, its headings and its tables."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python_of(page: Path) -> list[str]:
    """Return the blocks of Python, in order."""
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def run_python(page: Path) -> int:
    """Run the blocks of Python from top to bottom; return how many there are."""
    blocks = python_of(page)
    exec(compile("\n".join(blocks), str(page), "exec"), {})
    return len(blocks)


def missing_links(page: Path) -> list[str]:
    """Return the links to files that are not there."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert links, page
    return [link for link in links if not (page.parent / link).exists()]


def headings(page: Path) -> list[str]:
    """Return the headings of the second level, in order."""
    return re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)


def row_of(page: Path, first: str) -> list[str]:
    """Return the cells of the first row of a table that begins with a cell."""
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] == first:
            return cells
    raise AssertionError(f"{page} has no row {first}")

"""Tests of docs/partners.md: a section with running code for every way to choose partners."""

import re

import pytest

from documents import ROOT, headings, missing_links, row_of, run_python
from layermix.mixing import METHODS, PARTNERS

PAGE = ROOT / "docs/partners.md"
SECTIONS = [*PARTNERS, "remix", "cross_rank"]
POINTS = ["What it does.", "Formula.", "Source.", "Suggested values."]
POINTS += ["When it helps.", "When it breaks."]


def test_page_has_all_sections_in_order() -> None:
    assert headings(PAGE) == SECTIONS


@pytest.mark.parametrize("name", SECTIONS)
def test_section_has_code_and_all_points_in_order(name: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    body = re.split(r"^## .+$", text, flags=re.MULTILINE)[1 + SECTIONS.index(name)]
    assert body.count("```python") == 1
    assert re.findall(r"^- \*\*(.+?)\*\*", body, flags=re.MULTILINE) == POINTS


@pytest.mark.parametrize("name", PARTNERS)
def test_table_lists_the_needs_and_methods_of_a_partner(name: str) -> None:
    _, _, needs, _, methods = row_of(PAGE, f"[{name}](#{name})")[:5]
    kind = PARTNERS[name]
    assert needs == (kind.needs or "nothing")
    if name != "permutation":
        used = [one for one, method in METHODS.items() if type(method.partner) is kind]
        assert re.findall(r"`([^`]+)`", methods) == used


def test_page_code_runs_and_links_exist() -> None:
    assert run_python(PAGE) == 1 + len(SECTIONS)
    assert missing_links(PAGE) == []


@pytest.mark.parametrize("page", ["README.md", "docs/blends/README.md", "docs/migration.md"])
def test_page_is_linked_from_other_pages(page: str) -> None:
    assert "partners.md" in (ROOT / page).read_text(encoding="utf-8")

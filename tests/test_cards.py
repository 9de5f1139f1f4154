"""Every blend has a card in docs/blends: sections, code, a picture, and a row in the index."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import layermix as lm
from docs.tools.blends import draw_blend, draw_blends
from documents import ROOT, headings, missing_links, row_of, run_python
from layermix.functional import mix
from layermix.mixing import BLENDS, METHODS, PlanSampler

CARDS = ROOT / "docs/blends"
INDEX = CARDS / "README.md"
SECTIONS = ["What it does", "How to use it", "Suggested values", "When it helps"]
SECTIONS += ["When it breaks", "Cost", "Source"]
SHAPES = {"vectors": (6, 8), "tokens": (6, 8, 5), "maps": (6, 5, 8, 8), "video": (6, 5, 4, 8, 8)}
IMAGE = r'base64,([^"]*)"'


@pytest.mark.parametrize("name", BLENDS)
def test_a_card_has_all_sections_in_order(name: str) -> None:
    card = CARDS / f"{name}.md"
    assert card.read_text(encoding="utf-8").startswith(f"# {name}: ")
    assert headings(card) == SECTIONS


@pytest.mark.parametrize("name", BLENDS)
def test_its_python_runs_and_its_links_lead_somewhere(name: str) -> None:
    assert run_python(CARDS / f"{name}.md") > 0
    assert missing_links(CARDS / f"{name}.md") == []


def test_no_card_is_of_a_blend_that_there_is_not() -> None:
    assert {card.stem for card in CARDS.glob("*.md")} == {*BLENDS, "README"}
    assert {picture.stem for picture in (CARDS / "pictures").glob("*")} == set(BLENDS)


@pytest.mark.parametrize("name", BLENDS)
def test_its_picture_is_what_the_blend_draws(name: str) -> None:
    """Another processor rounds otherwise, so that images may differ by what no eye can see."""
    kept = (CARDS / f"pictures/{name}.svg").read_text(encoding="utf-8")
    drawn = draw_blend(name).standalone()
    assert re.sub(IMAGE, "", drawn) == re.sub(IMAGE, "", kept)
    for one, other in zip(images(drawn), images(kept), strict=True):
        assert np.abs(one - other).mean() < 1
    assert len(kept) < 40_000


def images(svg: str) -> list[np.ndarray]:
    """Return the images of a picture, floats (H, W, C) from 0 to 255."""
    found = [Image.open(io.BytesIO(base64.b64decode(text))) for text in re.findall(IMAGE, svg)]
    return [np.asarray(image).astype(np.float64) for image in found]


def test_they_are_all_drawn(tmp_path: Path) -> None:
    assert len(draw_blends(tmp_path)) == len(BLENDS)
    assert {picture.name for picture in tmp_path.iterdir()} == {f"{name}.svg" for name in BLENDS}


def test_only_a_blend_can_be_drawn() -> None:
    with pytest.raises(lm.InputError, match="unknown blend 'linaer': did you mean 'linear'"):
        draw_blend("linaer")


@pytest.mark.parametrize("name", BLENDS)
def test_the_index_says_where_it_works(name: str) -> None:
    cells = row_of(INDEX, f"[{name}]({name}.md)")
    works = [mixes(name, shape) for shape in SHAPES.values()]
    assert cells[3:7] == ["yes" if it else "no" for it in works]


def mixes(name: str, shape: tuple[int, ...]) -> bool:
    """Tell whether a blend mixes activations of that shape."""
    plan = PlanSampler(["final"], blend=name, seed=0).draw(shape[0])
    try:
        mix(torch.randn(shape), plan, channels=-1 if len(shape) == 3 else 1)
    except lm.InputError:
        return False
    return True


@pytest.mark.parametrize("name", BLENDS)
def test_the_index_names_the_methods_that_use_it(name: str) -> None:
    said = re.findall(r"`([^`]+)`", row_of(INDEX, f"[{name}]({name}.md)")[-1])
    assert said == [one for one, method in METHODS.items() if type(method.blend) is BLENDS[name]]


def test_the_index_runs_as_written() -> None:
    assert run_python(INDEX) == 2
    assert missing_links(INDEX) == []

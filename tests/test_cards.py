"""Tests of the cards of blends in docs/blends: sections, code, image, and row in the index."""

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
def test_card_has_all_sections_in_order(name: str) -> None:
    card = CARDS / f"{name}.md"
    assert card.read_text(encoding="utf-8").startswith(f"# {name}: ")
    assert headings(card) == SECTIONS


@pytest.mark.parametrize("name", BLENDS)
def test_card_code_runs_and_links_exist(name: str) -> None:
    assert run_python(CARDS / f"{name}.md") > 0
    assert missing_links(CARDS / f"{name}.md") == []


def test_every_card_and_image_belongs_to_a_blend() -> None:
    assert {card.stem for card in CARDS.glob("*.md")} == {*BLENDS, "README"}
    assert {picture.stem for picture in (CARDS / "pictures").glob("*")} == set(BLENDS)


@pytest.mark.parametrize("name", BLENDS)
def test_image_of_a_card_equals_the_drawn_blend(name: str) -> None:
    """Pixels may differ slightly, because processors round differently."""
    kept = (CARDS / f"pictures/{name}.svg").read_text(encoding="utf-8")
    drawn = draw_blend(name).standalone()
    assert re.sub(IMAGE, "", drawn) == re.sub(IMAGE, "", kept)
    for one, other in zip(images(drawn), images(kept), strict=True):
        assert np.abs(one - other).mean() < 1
    assert len(kept) < 40_000


def images(svg: str) -> list[np.ndarray]:
    """Return the images in an SVG as float arrays (H, W, C) with values from 0 to 255."""
    found = [Image.open(io.BytesIO(base64.b64decode(text))) for text in re.findall(IMAGE, svg)]
    return [np.asarray(image).astype(np.float64) for image in found]


def test_draw_blends_writes_one_image_per_blend(tmp_path: Path) -> None:
    assert len(draw_blends(tmp_path)) == len(BLENDS)
    assert {picture.name for picture in tmp_path.iterdir()} == {f"{name}.svg" for name in BLENDS}


def test_drawing_an_unknown_blend_raises() -> None:
    with pytest.raises(lm.InputError, match="unknown blend 'linaer': did you mean 'linear'"):
        draw_blend("linaer")


@pytest.mark.parametrize("name", BLENDS)
def test_index_lists_the_supported_shapes(name: str) -> None:
    cells = row_of(INDEX, f"[{name}]({name}.md)")
    works = [mixes(name, shape) for shape in SHAPES.values()]
    assert cells[3:7] == ["yes" if it else "no" for it in works]


def mixes(name: str, shape: tuple[int, ...]) -> bool:
    """Return True if a blend mixes activations of this shape."""
    plan = PlanSampler(["final"], blend=name, seed=0).draw(shape[0])
    try:
        mix(torch.randn(shape), plan, channels=-1 if len(shape) == 3 else 1)
    except lm.InputError:
        return False
    return True


@pytest.mark.parametrize("name", BLENDS)
def test_index_lists_the_methods_of_a_blend(name: str) -> None:
    listed = re.findall(r"`([^`]+)`", row_of(INDEX, f"[{name}]({name}.md)")[-1])
    assert listed == [one for one, method in METHODS.items() if type(method.blend) is BLENDS[name]]


def test_index_code_runs_and_links_exist() -> None:
    assert run_python(INDEX) == 2
    assert missing_links(INDEX) == []

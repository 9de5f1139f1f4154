"""The HTML report: whole, self-contained, and safe whatever names are in it."""

import re
from html import escape, unescape
from html.parser import HTMLParser

import pytest

import layermix
from layermix.reporting import figures
from layermix.reporting.formatting import percent
from layermix.reporting.html import html
from layermix.reporting.summary import Summary
from made_summaries import HOSTILE, USUAL, made_summary

LONG = tuple(f"encoder.layers.encoder_layer_{index}" for index in range(12))
VOID = {"meta", "br", "wbr", "img"}


def report(summary: Summary) -> str:
    drawn = [*figures.accuracy(summary), *figures.curves(summary), *figures.snnl(summary)]
    return html(summary, drawn)


class Page(HTMLParser):
    """Reads a page, checks that its tags are balanced, and keeps tags and shown text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("multimix@final:k=8,low=0.05", ["multimix@", "final:", "k=8,", "low=0.05"]),
        ("cutmix@block2", ["cutmix@", "block2"]),
        ("encoder.layers.encoder_layer_11", ["encoder.", "layers.", "encoder_", "layer_11"]),
        ("blocks.10", ["blocks.10"]),
    ],
)
def test_long_names_break_after_their_marks_and_not_inside_words(
    name: str, parts: list[str]
) -> None:
    summary = made_summary(variants=("none", name), blocks=("input", "block1", name))
    assert html(summary, []).count(f">{'<wbr>'.join(parts)}<") >= 2  # in two tables


@pytest.fixture(scope="module")
def usual() -> Summary:
    return made_summary()


@pytest.fixture(scope="module")
def page(usual: Summary) -> str:
    return report(usual)


def test_nothing_is_loaded_and_nothing_runs(page):
    bare = re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
    assert not re.search(r"https?:|//[a-z]", bare)
    assert not re.search(r"<script|<link|<iframe|<img|@import|\son\w+=|javascript:", bare)
    assert not re.search(r"url\((?!#)", bare)


def test_the_same_summary_gives_the_same_page(usual, page):
    assert report(usual) == page


def test_everything_in_the_summary_is_there(usual, page):
    words = Page(page).words
    told = [*usual.verdict.sentences, *usual.verdict.notes, usual.command, usual.verdict.claim]
    told += [*usual.conditions, *usual.conditions.values(), layermix.__version__]
    for row in usual.variants:
        told += [row.name, percent(row.test["accuracy"].mean)]
        told += [
            f"seed {seed}: {percent(value)}"
            for seed, value in zip(row.seeds, row.test["accuracy"].values, strict=True)
        ]
    for sentence in told:
        assert sentence in words, sentence
    captions = [f.caption for f in [*figures.accuracy(usual), *figures.snnl(usual)]]
    assert all(caption in words for caption in captions)


def test_the_answer_comes_first_and_the_conditions_last(usual, page):
    words = Page(page).words
    order = [
        f"Where to mix on {usual.data}?",
        usual.verdict.sentences[0],
        "Test accuracy for each place to mix",
        "All measures",
        "Paired differences",
        "The course of training",
        "Why the place may matter",
        "Entangled and separated",
        "Where are the classes entangled?",
        "How to read this",
        "Conditions",
    ]
    places = [words.rindex(part) for part in order]
    assert places == sorted(places)


def test_the_page_can_be_read_by_machines_and_on_phones(page):
    tags = Page(page).tags
    assert ("html", {"lang": "en"}) in tags
    assert any(t == "meta" and a.get("name") == "viewport" for t, a in tags)
    assert all("scope" in a for t, a in tags if t == "th")
    assert all(a.get("aria-label") for t, a in tags if t == "svg")
    tables = sum(t == "table" for t, _ in tags)
    assert tables == sum(t == "caption" for t, _ in tags) == 5
    pictures = sum(t == "figure" for t, _ in tags)
    assert pictures == sum(t == "figcaption" for t, _ in tags) == 5
    names = [a["id"] for _, a in tags if "id" in a]
    assert len(names) == len(set(names))
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_hostile_names_are_shown_and_not_run():
    summary = made_summary(variants=("none", HOSTILE), data=HOSTILE, blocks=(HOSTILE,))
    text = report(summary)
    found = Page(text)
    assert "<script" not in text
    assert f"Where to mix on {HOSTILE}?" in found.words
    assert escape(HOSTILE, quote=False)[:20] in text
    assert HOSTILE in unescape(text)


@pytest.mark.parametrize(
    ("settings", "claim", "tables"),
    [
        ({"seeds": 1}, "undecided", 5),
        ({"variants": ("input", "final")}, "holds", 2),
        ({"variants": ("none", "input", "block1")}, "not tested", 4),
        ({"variants": ("block1",)}, "not tested", 1),
        ({"variants": ("none", "input", *LONG), "blocks": LONG}, "not tested", 5),
        ({"collapsed": True}, "holds", 5),
        ({"variants": ("none", "input"), "waiting": ("final",)}, "not tested", 4),
        ({"variants": ("block1",), "waiting": ("none", "final")}, "not tested", 1),
    ],
)
def test_every_kind_of_study_has_a_report(settings, claim, tables):
    summary = made_summary(**settings)
    found = Page(report(summary))
    assert summary.verdict.claim == claim
    assert claim in found.words
    assert sum(tag == "table" for tag, _ in found.tags) == tables
    for row in summary.variants:
        assert row.name in found.words
    assert sum(tag == "circle" for tag, _ in found.tags) == sum(
        len(row.seeds) for row in summary.variants
    )


def test_a_study_that_is_not_finished_says_so_and_lists_what_is_missing():
    summary = made_summary(variants=("none", "input"), waiting=("final",), planned_seeds=12)
    page = html(summary, [])
    words = Page(page).words
    assert "This study is not finished: 16 of 36 runs are done." in words
    assert "3 variants × 12 seeds" in words
    assert re.search(r'final</th>\s*<td>0/12</td>\s*<td>–</td>\s*<td class="dots">–</td>', page)
    assert page.count("<td>8/12</td>") == 2


def test_p_values_of_many_seeds_are_not_called_exact():
    two = ("none", "input", "final")  # layers too few to have a p-value over layers
    few, many = (Page(html(made_summary(two, seeds=n), [])).words for n in (20, 21))
    assert "exact p" in few
    assert "exact" not in many
    assert "p (100,000 random sign flips) =" in many


def test_missing_pictures_are_told_of(usual, page):
    assert "the run that keeps its features is not finished" in page
    without = html(usual, [])
    assert "the runs hold no SNNL" in without
    assert all(name in Page(without).words for name in USUAL)


def test_minus_signs_are_minus_signs_and_small_p_are_bounded():
    words = Page(report(made_summary(seeds=12))).words
    assert "< 0.001" in words
    assert "−" in words
    assert not re.search(r"[\s(]-\d", words[words.index("}\n\n") :])

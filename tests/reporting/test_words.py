"""Numbers and names in words, the same in every form of the answer."""

import pytest

from layermix.reporting import formatting as words
from layermix.reporting.statistics.stats import estimate


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.97321, 4, "0.9732"),
        (-0.5, 1, "−0.5"),
        (13531.4, 0, "13,531"),
        (999.12341, 4, "999.1234"),
        (1234567.8, 4, "1.2e+06"),
        (-3.0e30, 2, "−3.0e+30"),
    ],
)
def test_a_number_has_fixed_digits_until_it_would_burst_a_table(value, digits, text) -> None:
    assert words.number(value, digits) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0383, "0.038"),
        (0.5, "0.50"),
        (5.53, "5.5"),
        (55.34, "55.3"),
        (1553.46, "1,553"),
        (0, "0"),
    ],
)
def test_short_times_have_two_significant_digits(seconds: float, text: str) -> None:
    assert words.number(seconds, words.decimals(seconds)) == text


def test_an_interval_is_worded_by_its_ends_and_a_dash_without() -> None:
    found = estimate([0.5, 0.5])
    assert words.interval(found, words.percent) == "50.00% to 50.00%"
    assert words.interval(found, words.percentage_points) == "+50.00 to +50.00"
    assert words.interval(estimate([0.5]), words.percent) == "–"
    assert words.interval(None, words.percent) == "–"


def test_an_interval_and_a_difference_end_where_values_must() -> None:
    found = estimate([0.9, 1.0])
    assert words.interval(found, words.percent, (0.0, 1.0)) == "31.47% to 100.00%"
    assert words.interval(found, words.percent) == "31.47% to 158.53%"
    assert words.percentage_points(-1.3) == "−100.00"


def test_long_lists_of_names_are_cut() -> None:
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b"]) == "a and b"
    assert words.listed(["a", "b", "c", "d"], most=2) == "a, b and 2 more"


@pytest.mark.parametrize(
    ("variant", "text"),
    [
        ("block2", "mixing after block2"),
        ("hidden", "mixing after a block drawn anew each step"),
        ("cutmix", "mixing by cutmix"),
        ("mixup@final:alpha=2", "mixing by mixup@final:alpha=2"),
    ],
)
def test_a_variant_is_told_by_where_or_how_it_mixes(variant: str, text: str) -> None:
    assert words.place(variant) == text

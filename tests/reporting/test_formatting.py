"""Tests of the formatting of numbers, names and intervals."""

import pytest

from layermix.reporting import formatting
from layermix.reporting.statistics import estimate


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
def test_number_has_fixed_digits_or_scientific_notation(value, digits, text) -> None:
    assert formatting.number(value, digits) == text


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
    assert formatting.seconds(seconds) == text


def test_interval_is_formatted_as_its_ends_or_a_dash() -> None:
    found = estimate([0.5, 0.5])
    assert formatting.interval(found, formatting.percent) == "50.00 to 50.00"
    assert formatting.interval(found, formatting.percentage_points) == "+50.00 to +50.00"
    assert formatting.interval(estimate([0.5]), formatting.percent) == "–"
    assert formatting.interval(None, formatting.percent) == "–"


def test_intervals_and_differences_are_clipped_at_the_bounds() -> None:
    found = estimate([0.9, 1.0])
    assert formatting.interval(found, formatting.percent, (0.0, 1.0)) == "31.47 to 100.00"
    assert formatting.interval(found, formatting.percent) == "31.47 to 158.53"
    assert formatting.percentage_points(-1.3) == "−100.00"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (0.98765, "0.988"),
        (12.345, "12.3"),
        (-0.00123, "−0.00123"),
        (1e-14, "1.0e−14"),
        (12345.6, "12,346"),
        (3e9, "3.0e+09"),
    ],
)
def test_significant_rounds_to_three_digits(value: float, text: str) -> None:
    assert formatting.significant(value) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (None, "–"),
        (0.0009, "< 0.001"),
        (0.04321, "0.0432"),
        (0.04998, "< 0.05"),
        (0.05, "0.05"),
    ],
)
def test_p_value_has_three_significant_digits(p: float | None, text: str) -> None:
    assert formatting.p_value(p) == text


def test_number_that_rounds_to_zero_has_no_minus_sign() -> None:
    assert formatting.signed(-0.004) == "+0.00"
    assert formatting.number(-0.004, 2) == "0.00"


def test_long_lists_of_names_are_truncated() -> None:
    assert formatting.listed(["a"]) == "a"
    assert formatting.listed(["a", "b"]) == "a and b"
    assert formatting.listed(["a", "b", "c", "d"], most=2) == "a, b and 2 more"


@pytest.mark.parametrize(
    ("variant", "text"),
    [
        ("block2", "mixing after block2"),
        ("hidden", "mixing after a random block in each step"),
        ("cutmix", "mixing by cutmix"),
        ("mixup@final:alpha=2", "mixing by mixup@final:alpha=2"),
        ("mixup+cutmix", "mixing by mixup or cutmix in each step"),
    ],
)
def test_variant_is_described_by_its_mix_point_or_method(variant: str, text: str) -> None:
    assert formatting.variant_meaning(variant) == text

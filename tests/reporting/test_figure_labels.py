"""Labels in pictures: apart from one another, and no wider than their room."""

from itertools import pairwise

from layermix.reporting.figures.labels import plain, shorten, spread, text_width


def test_labels_are_spread_in_order_and_within_the_room():
    placed = spread([5.0, 5.1, 4.9, 50.0], pitch=10, low=0, high=60)
    assert placed[2] < placed[0] < placed[1] < placed[3]
    in_order = sorted(placed)
    assert all(b - a >= 10 - 1e-9 for a, b in pairwise(in_order))
    assert 0 <= in_order[0] <= in_order[-1] <= 60
    assert spread([1.0] * 9, pitch=10, low=0, high=40)[-1] <= 40


def test_long_names_lose_their_middle_and_dollars_stay_dollars():
    short = shorten("encoder.layers.encoder_layer_11", 80)
    assert "…" in short
    assert short.endswith("_11")
    assert text_width(short) <= 80
    assert shorten("final", 80) == "final"
    assert plain("a$b$") == r"a\$b\$"

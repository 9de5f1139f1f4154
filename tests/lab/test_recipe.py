"""Tests of the recipe: schedule, monitored epochs, and invalid settings."""

import re

import pytest

from layermix import InputError
from layermix.lab import Recipe


def test_learning_rate_warms_up_and_decays_to_zero() -> None:
    recipe = Recipe(warmup=0.2, decay="linear")
    factors = [recipe.lr_factor(step, 100) for step in range(101)]
    assert factors[:20] == sorted(factors[:20])
    assert factors[20] == 1.0
    assert factors[20:] == sorted(factors[20:], reverse=True)
    assert factors[60] == pytest.approx(0.5)
    assert factors[100] == 0.0


def test_cosine_decay_is_one_half_at_half_of_the_steps() -> None:
    assert Recipe(warmup=0.0, decay="cosine").lr_factor(50, 100) == pytest.approx(0.5)


@pytest.mark.parametrize(("epochs", "monitor"), [(20, 10), (7, 10), (40, 10), (1, 10), (13, 5)])
def test_monitored_epochs_match_the_count_and_include_the_last(epochs: int, monitor: int) -> None:
    recipe = Recipe(epochs=epochs, monitor=monitor)
    monitored = [epoch for epoch in range(1, epochs + 1) if recipe.is_monitored(epoch)]
    assert len(monitored) == min(epochs, monitor)
    assert monitored[-1] == epochs


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs is 0, but must be 1 or more"),
        ({"batch_size": 1}, "batch_size is 1, but must be 2 or more to mix pairs"),
        ({"alpha": 0.0}, "alpha is 0.0, but must be finite and above 0"),
        ({"alpha": -1.0}, "alpha is -1.0, but must be"),
        ({"lr": float("nan")}, "lr is nan, but must be finite"),
        ({"label_smoothing": 1.0}, r"label_smoothing is 1.0, but must be in [0, 1)"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"crop": -1}, "crop is -1"),
    ],
)
def test_invalid_settings_raise(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Recipe(**settings).check()

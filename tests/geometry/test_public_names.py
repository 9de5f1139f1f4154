"""Public names of layermix.geometry have a docstring example, which test_house.py runs."""

import pytest

from layermix import geometry

CALLABLE = [name for name in geometry.__all__ if callable(getattr(geometry, name))]


@pytest.mark.parametrize("name", CALLABLE)
def test_every_public_function_and_class_has_an_example(name: str) -> None:
    assert ">>>" in (getattr(geometry, name).__doc__ or "")

"""The public names of the room are documented with an example that runs (see test_house.py)."""

import pytest

from layermix import geometry

CALLABLE = [name for name in geometry.__all__ if callable(getattr(geometry, name))]


@pytest.mark.parametrize("name", CALLABLE)
def test_every_public_function_and_class_has_an_example(name: str) -> None:
    assert ">>>" in (getattr(geometry, name).__doc__ or "")

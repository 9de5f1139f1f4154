"""What a mixer draws from: its points, their weights, and the state that a resumed run needs."""

from collections.abc import Mapping
from typing import Any

from layermix.mixing import Planner


class Drawing:
    """The part of a mixer that looks after its planner and knows no model."""

    _planner: Planner

    @property
    def points(self) -> tuple[str, ...]:
        """The mix points, one of which each plan takes."""
        return self._planner.points

    @property
    def weights(self) -> dict[str, float]:
        """How likely each point is now; the probabilities add up to 1."""
        return dict(self._planner.choice.weights)

    @property
    def choices(self) -> list[dict[str, float]]:
        """The weights it began with, then those of every `reweigh`."""
        return [dict(weights) for weights in self._planner.choice.log]

    @property
    def dropped(self) -> dict[str, str]:
        """The candidates of ``at="auto"`` that cannot be mixed, and why; known after `check`."""
        return dict(self._planner.choice.dropped)

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Set how likely each point is from the next draw on.

        No other draw is shifted. In data parallel training all ranks must set the same weights.

        Parameters
        ----------
        weights
            Relative probabilities by name of the point, finite and >= 0; points that are missing
            get 0.

        Raises
        ------
        InputError
            For a point that is not in `points`, a weight that is none, or nothing but zeros.
        """
        self._planner.choice.reweigh(weights)

    def next_epoch(self) -> None:
        """Begin an epoch, for schedules by epoch and for ``per="epoch"``."""
        self._planner.next_epoch()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to draw what an uninterrupted one would have drawn."""
        return self._planner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the draws of the mixer that gave `state`."""
        self._planner.load_state_dict(state)

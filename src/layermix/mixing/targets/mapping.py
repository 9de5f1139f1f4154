"""A mapping of mixed targets, for models with several outputs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from layermix.errors import InputError, unknown
from layermix.mixing.targets.criteria import Criterion
from layermix.mixing.targets.mixed import MixedTarget
from layermix.mixing.targets.target import NotATensor, Target


@dataclass(frozen=True, eq=False)
class Targets(NotATensor, Mapping[str, Target]):
    """Mixed targets by name, one for each output of a model."""

    by_name: Mapping[str, Target]

    def __getitem__(self, name: str) -> Target:
        return self.by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def __len__(self) -> int:
        return len(self.by_name)

    def loss(
        self,
        output: Mapping[str, Tensor],
        criterion: Mapping[str, Criterion] | None = None,
        weights: Mapping[str, float] | None = None,
        *,
        sample_weight: Tensor | Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return the sum of the losses of all targets, shape ().

        Parameters
        ----------
        output
            Outputs of the model by the names of the targets.
        criterion, weights
            Criterion and weight of each target by name; by default cross-entropy and 1.
        sample_weight
            Weight of each example, (B,), for all losses or by name; see `Target.loss`.

        Raises
        ------
        InputError
            If the output lacks a target, or a name is not that of a target.
        """
        criterion, weights = criterion or {}, weights or {}
        if not isinstance(sample_weight, Mapping):
            sample_weight = {} if sample_weight is None else dict.fromkeys(self, sample_weight)
        for name in (*criterion, *weights, *sample_weight):
            if name not in self.by_name:
                raise unknown("target", name, self.by_name)
        self._check(output)
        losses = [
            weights.get(name, 1.0)
            * target.loss(output[name], criterion.get(name), sample_weight=sample_weight.get(name))
            for name, target in self.by_name.items()
        ]
        return sum(losses[1:], losses[0])

    def accuracy(
        self, output: Mapping[str, Tensor], k: int = 1, *, ignore_index: int = -100
    ) -> dict[str, Tensor]:
        """Return the accuracy of each target by name, each of shape (); see `Target.accuracy`.

        Raises
        ------
        InputError
            If the output lacks a target, or a target has no accuracy.
        """
        return self._each(output, lambda one, of: one.accuracy(of, k, ignore_index=ignore_index))

    def dominant_accuracy(
        self, output: Mapping[str, Tensor], k: int = 1, *, ignore_index: int = -100
    ) -> dict[str, Tensor]:
        """Return the `Target.dominant_accuracy` of each target by name."""
        return self._each(
            output, lambda one, of: one.dominant_accuracy(of, k, ignore_index=ignore_index)
        )

    def nll(self, output: Mapping[str, Tensor], *, ignore_index: int = -100) -> dict[str, Tensor]:
        """Return the negative log-likelihood of each target by name, in nats."""
        return self._each(output, lambda one, of: one.nll(of, ignore_index=ignore_index))

    def _each(
        self, output: Mapping[str, Tensor], measure: Callable[[Target, Tensor], Tensor]
    ) -> dict[str, Tensor]:
        self._check(output)
        found = {}
        for name, target in self.by_name.items():
            try:
                found[name] = measure(target, output[name])
            except InputError as error:
                raise InputError(f"target {name!r}: {error}") from None
        return found

    def _check(self, output: object) -> None:
        for name in self.by_name:
            if not isinstance(output, Mapping) or name not in output:
                has = sorted(output) if isinstance(output, Mapping) else type(output).__name__
                raise InputError(
                    f"the labels are a mapping with {name!r}, but the output lacks that name: it "
                    f"is {has}. The model must return a mapping with the names of the labels"
                )


def clean(labels: Tensor | Mapping[str, Tensor]) -> Target | Targets:
    """Return a target with the labels of a batch that was not mixed."""
    if isinstance(labels, Mapping):
        return Targets({name: MixedTarget.clean(one) for name, one in labels.items()})
    return MixedTarget.clean(labels)

"""Look once whether a mix point can be mixed: calls per forward, output type, batch dimension.

The model runs twice, silently, on three and on two of the examples (one and two of a smaller
batch), so that a dimension which only happens to equal the batch size is told apart from the
batch. For ``"final"`` the heads are looked at too: they must return as many numbers as the model.
"""

import math
from collections.abc import Mapping, Sequence

from torch import nn

from layermix.attach.batch import Batch, batch_size, checked, first
from layermix.attach.channels import Channels, layout
from layermix.attach.observe import observe
from layermix.attach.seen import Seen, look_at, obstacle, tensor_dims
from layermix.attach.site import Site
from layermix.attach.structure import Path
from layermix.errors import InputError

_HEAD, _WHOLE = "output of the head ", "output of the model"


class Probe:
    """What two silent forward passes showed about some sites of a model."""

    def __init__(
        self, model: nn.Module, sites: Sequence[Site], x: Batch, batch_dim: int = 0
    ) -> None:
        self._batch_dim = checked(batch_dim)
        count = batch_size(x, batch_dim)
        self._batches = [3, 2] if count >= 3 else [2, 1] if count == 2 else [1]
        self._looks: list[dict[str, list[Seen | str]]] = []
        self._sites = {site.name: site for site in sites}
        watched = [part for site in sites for part in _parts(site)]
        for size in self._batches:
            self._look(model, watched, x, size)

    def _look(self, model: nn.Module, watched: Sequence[Site], x: Batch, size: int) -> None:
        """Run the model on the first `size` examples and keep what was seen."""
        seen: dict[str, list[Seen | str]] = {_WHOLE: [], **{site.name: [] for site in watched}}
        few, count = first(x, size, self._batch_dim), batch_size(x, self._batch_dim)
        try:
            output = observe(
                model, watched, few, lambda name, value: seen[name].append(look_at(value))
            )
        except InputError as error:
            if size == count:
                raise
            raise InputError(
                f"{error} (mix points are probed on {size} of your {count} examples)"
            ) from error
        seen[_WHOLE].append(look_at(output))
        self._looks.append(seen)

    @property
    def output(self) -> tuple[int, ...] | None:
        """The shape of one example of the model's output; None where it has no tensor."""
        return self.shape(_WHOLE)

    def calls(self, name: str) -> int:
        """Return how often the site was passed in one forward."""
        return len(self._looks[0][name])

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of one example's activation at a site, if it was passed once."""
        looks = self._once(name)
        return looks[0].example(self.batch_dim(name)) if looks else None

    def batch_dim(self, name: str) -> int:
        """Return along which dimension the main tensor of a site that was passed has the batch."""
        looks = self._once(name)
        return self._tensor_dims(looks).get(looks[0].main) or 0

    def channels(self, name: str) -> Channels | None:
        """Return the dimension of a site's channels, 1 or -1; None where it cannot be mixed."""
        site, example = self._sites[name], self.shape(name)
        if example is None or self.obstacle(name):
            return None
        return layout(site.module, site.side).channels(example)

    def dims(self, name: str) -> list[Mapping[Path, int | None]]:
        """Return for each module of a site along which dimension each tensor carries the batch."""
        return [
            self._tensor_dims(self._once(part.name))
            for part in _parts(self._sites[name])
            if not part.name.startswith(_HEAD)
        ]

    def obstacle(self, name: str) -> str | None:
        """Return why the site cannot be mixed, or None when it can."""
        site = self._sites[name]
        for part, module in zip(_parts(site), site.modules, strict=False):
            calls = self.calls(part.name)
            if calls != 1:
                return _wrong_count(calls, module if len(site.modules) > 1 else None)
            looks = [look[part.name][0] for look in self._looks]
            if wrong := obstacle(looks, self._batches, self._batch_dim):
                return wrong
        return self._wrong_head() if name == "final" else None

    def obstacles(self) -> dict[str, str]:
        """Return the sites that cannot be mixed, and why."""
        found = {name: self.obstacle(name) for name in self._sites}
        return {name: why for name, why in found.items() if why}

    def require(self, name: str, done: str = "mixed") -> None:
        """Raise an `InputError` with the reason when a site cannot be mixed (or what is done)."""
        obstacle = self.obstacle(name)
        if obstacle:
            raise InputError(
                f"mix point {name!r} cannot be {done}: {obstacle}. "
                "layermix.points(model, x) lists the points that can"
            )

    def _once(self, name: str) -> list[Seen]:
        """Return what was seen in each look at a site that was passed once."""
        looks = [look[name] for look in self._looks]
        found = [look[0] for look in looks if len(look) == 1 and isinstance(look[0], Seen)]
        return found if len(found) == len(looks) else []

    def _wrong_head(self) -> str | None:
        """Return why the layers taken for the heads are none, or None when they are."""
        heads = self._sites["final"].modules
        own = [self.shape(f"{_HEAD}{index}") for index in range(len(heads))]
        whole = self.output
        if whole is not None and None not in own:
            count = math.prod(whole)
            widths = [_width(head, shape or ()) for head, shape in zip(heads, own, strict=True)]
            if all(
                count in (math.prod(shape or ()), w) for shape, w in zip(own, widths, strict=True)
            ):
                return None
            if sum(widths) == count:
                return None
        return (
            f"it was taken to be the input of {', '.join(map(str, heads))}, but that layer returns "
            f"{', '.join(map(str, own))} for each example and the model {whole}"
        )

    def _tensor_dims(self, looks: Sequence[Seen]) -> dict[Path, int | None]:
        return tensor_dims(looks, self._batches, self._batch_dim)


def _parts(site: Site) -> list[Site]:
    """Return the places to watch for a site: each module, and what each head returns."""
    parts = [
        Site(site.name if not index else f"{site.name} {index}", (module,), site.side)
        for index, module in enumerate(site.modules)
    ]
    if site.name == "final":
        parts += [Site(f"{_HEAD}{i}", (head,), "after") for i, head in enumerate(site.modules)]
    return parts


def _width(head: nn.Module, shape: tuple[int, ...]) -> int:
    """Return how many numbers a head returns at each position of a map or of tokens."""
    return shape[-1 if isinstance(head, nn.Linear) else 0] if shape else 1


def _wrong_count(calls: int, head: nn.Module | None) -> str:
    it = f"the head {head}" if head else "it"
    if calls == 0:
        return f"{it} is never called in a forward pass (0 calls), although it is part of the model"
    return f"{it} is called {calls} times in one forward pass, but a mix happens once"

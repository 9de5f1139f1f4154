"""Take a profile: choose examples, run the model over them once, measure layer by layer."""

import math
from collections.abc import Iterable

from torch import Tensor, nn

from layermix.errors import InputError, brief
from layermix.geometry.checks import not_finite
from layermix.geometry.gap import RATIOS, Gap, interpolation_gap
from layermix.geometry.layer import Layer
from layermix.geometry.profiles.examples import Data
from layermix.geometry.profiles.features import gathered, on_device
from layermix.geometry.profiles.notices import unmeasured
from layermix.geometry.profiles.pooling import Pool, Pooling
from layermix.geometry.profiles.prepare import Subject, prepare
from layermix.geometry.profiles.profile import Profile
from layermix.geometry.profiles.progress import Bar
from layermix.geometry.profiles.randomness import seeded
from layermix.geometry.profiles.values import LayerProfile
from layermix.geometry.quantities import OF_GAP, choose, measured
from layermix.geometry.snnl import SNNL, chance_level, layer_snnl
from layermix.hooks import MixPoint
from layermix.hooks.batch import first
from layermix.hooks.site import as_module, device_of, unwrap


def profile(
    model: nn.Module,
    data: Data,
    points: str | MixPoint | Iterable[str | MixPoint] | None = None,
    *,
    quantities: str | Iterable[str] | None = None,
    examples: int = 2000,
    mixed: int = 256,
    pool: Pool = "auto",
    ratios: tuple[float, ...] = RATIOS,
    batch_size: int = 128,
    memory: int = 2**30,
    seed: int = 0,
    progress: bool = True,
    ignore_index: int = -100,
) -> Profile:
    """Measure how entangled the classes are at every layer of a model, in eval mode.

    One pass over the examples gives the features of all layers, which are then measured one layer
    after another, all on the same examples; the interpolation gap takes one more forward pass of
    some examples for each layer and ratio. Give data the model was not trained on.

    Parameters
    ----------
    model
        A classifier; it is left as it was, mode and random state included.
    data
        A pair (x, labels), a data set of them, or anything that yields batches, as a `DataLoader`
        does; x is a tensor, a tuple of several for ``model(*x)``, or a mapping of named inputs,
        which may hold an ``attention_mask``.
    points
        Mix points; the input, each default block, the final layer and the logits when left out.
    quantities
        Names in `layermix.geometry.QUANTITIES`; all when left out. In a large net the
        gap and its loss take most of the time.
    examples
        Most examples to measure on; more are not looked at beyond a seeded random choice.
    mixed
        Most of these to mix for the interpolation gap; 0 leaves gap and loss out.
    pool
        What becomes of positions: ``"flatten"``, or their ``"mean"``, the ``"first"`` or the
        ``"last"`` one; ``"auto"`` averages tokens and flattens all else. An attention mask counts.
    ratios
        Ratios of the interpolation gap.
    batch_size
        Most examples in a forward pass, 2 or more.
    memory
        Bytes for the features of a layer and, apart from them, for what is measured of it; the
        examples themselves come on top. Fewer are taken where one layer needs more. Where all
        layers together need more, their features go to files in the system's temporary folder.
    seed
        Seed of the choice of examples, of partners, and of what data and model draw from global
        generators, which are restored.
    progress
        Show a bar on the standard error stream, where that is a terminal.
    ignore_index
        Label of examples that are left out.

    Returns
    -------
    Profile
        Prints as a table; has `to_frame`, `to_json`, `to_csv` and `plot`.

    Raises
    ------
    InputError
        For data without two classes of two members, points or quantities that do not exist, points
        that cannot be mixed, memory for too few examples, or a setting that makes no sense.

    Examples
    --------
    >>> import torch, layermix as lm
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> found = lm.profile(model, (torch.randn(60, 4), torch.arange(60) % 3), ["input", "final"])
    >>> found["final"].values["gap"] < 1e-6
    True
    """
    model = as_module(model)
    _check(examples=(examples, 4), batch_size=(batch_size, 2), memory=(memory, 1), seed=(seed, 0))
    if mixed:
        _check(mixed=(mixed, 2))
    quantities = choose(quantities)
    if not OF_GAP.keys() & set(quantities):
        mixed = 0
    with seeded(seed), Bar(progress) as bar:
        subject = prepare(
            model, data, points, examples, pool, memory, seed, ignore_index, mixes=mixed > 0
        )
        n = len(subject.examples.labels)
        mixed = min(mixed, n)
        mixes = -(-mixed // batch_size) * (1 + len(subject.cuts) * len(ratios))
        bar.expect(mixes + -(-n // batch_size) + len(subject.rows))
        gaps = {}
        if mixed and subject.cuts:
            gaps = _gaps(model, subject, mixed, ratios, batch_size, seed, bar)
        found, broken = _layers(model, subject, quantities, gaps, batch_size, memory, bar)
    _, counts = subject.examples.labels.unique(return_counts=True)
    return Profile(
        layers=tuple(found),
        model=type(unwrap(model)).__name__,
        n=n,
        mixed=mixed,
        ratios=tuple(ratios) if mixed else (),
        classes=len(counts),
        chance=chance_level(counts),
        notices=(
            *subject.notices,
            *unmeasured(broken, quantities, len(counts), gaps, subject.rows),
        ),
    )


def _check(**settings: tuple[int, int]) -> None:
    """Refuse a setting that is no whole number, or below its least."""
    for name, (value, least) in settings.items():
        if not isinstance(value, int) or value < least:
            raise InputError(
                f"{name} is {brief(value)}, but must be a whole number, {least} or more"
            )


def _gaps(
    model: nn.Module,
    subject: Subject,
    mixed: int,
    ratios: tuple[float, ...],
    batch_size: int,
    seed: int,
    bar: Bar,
) -> dict[str, Gap]:
    device, examples = device_of(model), subject.examples
    return interpolation_gap(
        model,
        on_device(first(examples.x, mixed), device),
        examples.labels[:mixed].to(device),
        subject.cuts,
        ratios=ratios,
        batch_size=batch_size,
        seed=seed,
        on_forward=lambda: bar.step("mixing"),
    )


def _layers(
    model: nn.Module,
    subject: Subject,
    quantities: tuple[str, ...],
    gaps: dict[str, Gap],
    batch_size: int,
    memory: int,
    bar: Bar,
) -> tuple[list[LayerProfile], dict[str, str]]:
    """Return the layers, and of those with features that are not finite why."""
    x, labels = subject.examples.x, subject.examples.labels
    device, layers = device_of(model), subject.layers

    def forward(done: int) -> None:
        bar.step(f"{done:,} of {len(labels):,} examples")

    with gathered(model, x, layers, batch_size, memory, forward) as features:
        found, broken = [], {}
        for row in subject.rows:
            bar.step(f"measuring {row.name}")
            own = features.pop(row.name).to(device)
            values, snnl = dict.fromkeys(quantities, math.nan), None
            if why := not_finite(own):
                broken[row.name] = why
            else:
                values, snnl = _measure(own, labels, quantities, gaps.get(row.name))
            found.append(_layer(row, layers[row.name], values, snnl))
            del own  # its file, where it has one, can be removed only when nothing holds it
    return found, broken


def _measure(
    features: Tensor, labels: Tensor, quantities: tuple[str, ...], gap: Gap | None
) -> tuple[dict[str, float], SNNL | None]:
    layer = Layer(features, labels)
    return measured(layer, gap, quantities), layer_snnl(layer) if "snnl" in quantities else None


def _layer(
    row: MixPoint, pooled: Pooling, values: dict[str, float], snnl: SNNL | None
) -> LayerProfile:
    return LayerProfile(
        point=row.name,
        kind=row.kind,
        module=row.module,
        shape=row.shape or (),
        pooled=str(pooled),
        features=pooled.features,
        values=values,
        snnl=snnl.value if snnl else math.nan,
        temperature=snnl.temperature if snnl else math.nan,
        standard_error=snnl.standard_error if snnl else math.nan,
    )

"""Mixed examples of the data of a study: a row for each blend and its distribution of ratios."""

from contextlib import suppress

import torch
from matplotlib.axes import Axes
from torch import Tensor

from layermix.errors import LayermixError
from layermix.functional import mix
from layermix.hooks import Points
from layermix.lab.data import Split
from layermix.lab.run_setup import find_points, fresh_model, load_once
from layermix.lab.study import StudyFolder
from layermix.lab.variants import mix_points, mixer_settings
from layermix.mixing import PlanSampler
from layermix.mixing.methods import method_names
from layermix.reporting.figures.style import Figure, canvas, finish, shorten, style
from layermix.reporting.formatting import listed

_COLUMNS, _BATCH = 5, 16
_ROW, _NAME, _ROWS = 96, 46, 6
_CAPTION = (
    "Training images of this study, mixed as each variant mixes; the numbers are label weights. "
    "Variants that mix in a hidden layer mix its activations in this way, not the images."
)


@style()
def examples(study: StudyFolder) -> list[Figure]:
    """Draw mixed training images; none if the data or the model cannot be loaded, or trusted."""
    with suppress(LayermixError, OSError):
        config = study.config
        data = load_once(config.data, config.seeds[0])
        if data.train.inputs.ndim != 4:
            return []
        points = config.all_points
        if points is None:
            study.require_trust()
            points = find_points(fresh_model(config.model, data, config.seeds[0]), data)
        order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
        found = _distinct(study, points, data.train[order[:_BATCH]], len(data.classes))
        if found:
            return [_draw(found, data.classes)]
    return []


def _distinct(
    study: StudyFolder, points: Points, batch: Split, classes: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return mixed images and their dense labels, for each group of variants that mix equally."""
    found: list[tuple[list[str], tuple[Tensor, Tensor]]] = []
    for variant in study.config.variants:
        recipe = next(cell.recipe for cell in study.cells() if cell.variant == variant)
        at = mix_points(variant, points)
        if not at or len(method_names(variant)) > 1:
            continue
        sampler = PlanSampler([at[-1]], seed=0, **mixer_settings(variant, points, recipe))
        mixed = _mixed(sampler, batch, classes)
        equal = (names for names, other in found if torch.equal(other[0], mixed[0]))
        if names := next(equal, None):
            names.append(variant)
        else:
            found.append(([variant], mixed))
    return {listed(names, 4): mixed for names, mixed in found[:_ROWS]}


def _mixed(sampler: PlanSampler, batch: Split, classes: int) -> tuple[Tensor, Tensor]:
    """Return one mixed image, (C, H, W), and its label weights, (K,), of each of several draws."""
    x, images, labels = _in_unit_range(batch.inputs), [], []
    for column in range(_COLUMNS):
        plan = sampler.draw(len(x), labels=batch.labels, inputs=x)
        images.append(mix(x, plan)[column])
        labels.append(plan.target(batch.labels).dense(classes)[column])
    return torch.stack(images), torch.stack(labels)


def _in_unit_range(inputs: Tensor) -> Tensor:
    if inputs.dtype == torch.uint8:
        return inputs.float() / 255
    low, high = inputs.amin(), inputs.amax()
    return (inputs - low) / (high - low).clamp(min=1e-12)


def _draw(found: dict[str, tuple[Tensor, Tensor]], classes: tuple[str, ...]) -> Figure:
    weights = []
    drawing, panels = canvas(_ROW * len(found) + 10, len(found), _COLUMNS)
    for row, (names, (images, labels)) in enumerate(found.items()):
        for column, axes in enumerate(panels[row * _COLUMNS : (row + 1) * _COLUMNS]):
            _show(axes, images[column])
            weights.append(_weights(labels[column], classes))
            axes.set_title(f"\n{weights[-1]}", fontsize="x-small", loc="center")
        first = panels[row * _COLUMNS]
        place = {"transform": first.transAxes, "fontsize": "small", "in_layout": False}
        first.text(0, 1.22, shorten(names, _NAME), **place)
    alt = f"Mixed training images; label weights {'; '.join(weights)}."
    return finish(drawing, "examples", alt, _CAPTION)


def _show(axes: Axes, image: Tensor) -> None:
    """Show an image, float (C, H, W) in [0, 1]."""
    pixels = image.clamp(0, 1).permute(1, 2, 0).numpy()
    axes.imshow(pixels if pixels.shape[2] == 3 else pixels[..., 0], cmap="gray", vmin=0, vmax=1)
    axes.set_axis_off()


def _weights(label: Tensor, classes: tuple[str, ...]) -> str:
    """Return the label weights of an example, (K,), such as ``3: 0.71, 8: 0.29``."""
    parts = [f"{shorten(classes[k], 9)}: {label[k]:.2f}" for k in label.nonzero().flatten()]
    return ", ".join(parts[:2])

"""References of blends that say of each position which example it is from.

All but `resize` are masks: how much of its own example each position keeps.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

import layermix as lm
from blend_references.parts import Mixed, drawn, lams, normal, pairs, uniform


def by_mask(a: Tensor, plan: lm.Plan, masks: Sequence[np.ndarray]) -> Mixed:
    """Mix by masks that say how much of the own example each position keeps."""
    rows = []
    for i, mask in enumerate(masks):
        m = torch.from_numpy(mask.astype(np.float64)).unsqueeze(-1)
        rows.append(m * a[i] + (1 - m) * a[plan.partner[i]])
    return Mixed(torch.stack(rows), pairs(plan, [float(mask.mean()) for mask in masks]))


def box(size: tuple[int, ...], lam: float, center: Sequence[float]) -> np.ndarray:
    mask = np.ones(size)
    share = 1 - lam
    spans = []
    for length, place in zip(size, center[3 - len(size) :], strict=True):
        if len(size) == 1:
            count = round(share * length)
            start = min(math.floor(place * (length - count + 1)), length - count)
            spans.append(slice(start, start + count))
        else:
            middle = math.floor(place * length)
            half = math.floor(0.5 * share ** (1 / len(size)) * length)
            spans.append(slice(max(middle - half, 0), min(middle + half, length)))
    mask[tuple(spans)] = 0
    return mask


def cut(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    size = tuple(a.shape[1:-1])
    masks = [box(size, lam, drawn(plan, "center", i)) for i, lam in enumerate(lams(plan))]
    return by_mask(a, plan, masks)


def top(values: np.ndarray, share: float) -> np.ndarray:
    """Return a mask of the largest values."""
    mask = np.zeros(values.size)
    mask[np.argsort(-values.ravel(), kind="stable")[: round(share * values.size)]] = 1
    return mask.reshape(values.shape)


def fourier(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    size, masks = tuple(a.shape[1:-1]), []
    axes = [np.fft.fftfreq(n) for n in size[:-1]] + [np.fft.rfftfreq(size[-1])]
    frequency = np.sqrt(sum(f**2 for f in np.meshgrid(*axes, indexing="ij")))
    frequency = np.maximum(frequency, 1 / max(size))
    for i, lam in enumerate(lams(plan)):
        real, imaginary = (normal(seed, frequency.shape) for seed in drawn(plan, "seed", i))
        spectrum = (real + 1j * imaginary) / frequency**3
        masks.append(top(np.fft.irfftn(spectrum, size, range(len(size))), lam))
    return by_mask(a, plan, masks)


def grid(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    size, masks = tuple(a.shape[1:-1]), []
    cells = tuple(min(4, n) for n in size)
    for i, lam in enumerate(lams(plan)):
        chosen = top(uniform(drawn(plan, "seed", i), cells), lam)
        mask = np.zeros(size)
        for place in np.ndindex(*size):
            mask[place] = chosen[tuple(p * c // n for p, c, n in zip(place, cells, size))]  # noqa: B905
        masks.append(mask)
    return by_mask(a, plan, masks)


def salient(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    (h, w), masks = a.shape[1:-1], []
    for i, lam in enumerate(lams(plan)):
        gray = a[plan.partner[i]].detach().mean(-1).numpy()
        found, side = np.zeros((h, w)), 3
        while side <= max(3, min(h, w)):
            k = side // 2
            for r, c in np.ndindex(h, w):
                around = gray[max(r - k, 0) : r + k + 1, max(c - k, 0) : c + k + 1]
                found[r, c] += abs(gray[r, c] - around.mean())
            side = 2 * side + 1
        r, c = np.unravel_index(found.argmax(), found.shape)
        masks.append(box((h, w), lam, [0.0, (r + 0.5) / h, (c + 0.5) / w]))
    return by_mask(a, plan, masks)


def patches(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    size, masks = tuple(a.shape[1:-1]), []
    side = min(7, *size)
    side -= 1 - side % 2
    rate = 1 - (1 - 0.5) ** (1 / side ** len(size))
    for i, lam in enumerate(lams(plan)):
        mask = np.ones(size)
        for center in np.argwhere(uniform(drawn(plan, "seed", i), size) < rate):
            block = tuple(slice(max(p - side // 2, 0), p + side // 2 + 1) for p in center)
            mask[block] = lam if blend.soft else 0.0
        masks.append(mask)
    return by_mask(a, plan, masks)


def resize(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    (h, w), rows, shares = a.shape[1:-1], [], []
    for i, lam in enumerate(lams(plan)):
        sides = [round(math.sqrt(1 - lam) * n) for n in (h, w)]
        place = zip(drawn(plan, "place", i), (h, w), sides, strict=True)
        start = [min(math.floor(u * (n - s + 1)), n - s) for u, n, s in place]
        mixed, other = a[i].clone(), a[plan.partner[i]]
        for r, c in np.ndindex(*sides):
            mixed[start[0] + r, start[1] + c] = sample(
                other, (r + 0.5) * h / sides[0] - 0.5, (c + 0.5) * w / sides[1] - 0.5
            )
        rows.append(mixed)
        shares.append(1 - sides[0] * sides[1] / (h * w))
    return Mixed(torch.stack(rows), pairs(plan, shares))


def sample(image: Tensor, y: float, x: float) -> Tensor:
    """Return a bilinear sample of an image (H, W, C) at pixel coordinates, border repeated."""
    h, w, _ = image.shape
    y, x = min(max(y, 0.0), h - 1.0), min(max(x, 0.0), w - 1.0)
    r, c = min(math.floor(y), h - 2), min(math.floor(x), w - 2)
    v, u = y - r, x - c
    above = (1 - u) * image[r, c] + u * image[r, c + 1]
    below = (1 - u) * image[r + 1, c] + u * image[r + 1, c + 1]
    return (1 - v) * above + v * below

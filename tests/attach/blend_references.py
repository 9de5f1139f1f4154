"""Every blend written out by hand in float64: example by example, position by position.

A reference takes an activation with the channels last, (B, *size, C), and a plan, and returns the
mix, in the same layout, with the weight of every label in each row of it. It uses nothing of
layermix but the plan's numbers. A new blend needs a reference here: the tests go through all of
them.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

import layermix as lm


class Mixed(NamedTuple):
    """A mix (N, *size, C), and the weight of each of the B labels in each row, (N, B)."""

    values: Tensor
    weights: Tensor


def lams(plan: lm.Plan) -> list[float]:
    return plan.ratio.double().expand(plan.batch_size).tolist()


def drawn(plan: lm.Plan, name: str, row: int) -> Any:
    """Return what the plan drew for an example, as float64 or int."""
    value = plan.draws[name]
    own = value if plan.ratio.ndim == 0 else value[row]
    return own.double().tolist() if own.is_floating_point() else own.tolist()


def pairs(plan: lm.Plan, shares: Sequence[float]) -> Tensor:
    """Return label weights from the share of each example's own label."""
    weights = torch.zeros(plan.batch_size, plan.batch_size, dtype=torch.float64)
    for i, share in enumerate(shares):
        weights[i, i] += share
        weights[i, plan.partner[i]] += 1 - share
    return weights


# The random fields: splitmix64 of each number's place, in numpy's unsigned integers.


def finalised(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(seed: int, size: tuple[int, ...]) -> np.ndarray:
    places = np.arange(1, math.prod(size) + 1, dtype=np.uint64)
    start = finalised(np.array([seed], dtype=np.uint64))
    bits = finalised(start + places * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(41)
    return ((bits + 0.5) / 2**23).reshape(size)


def normal(seed: int, size: tuple[int, ...]) -> np.ndarray:
    return ndtri(uniform(seed, size))


# The blends.


def linear(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    rows = [lam * a[i] + (1 - lam) * a[plan.partner[i]] for i, lam in enumerate(lams(plan))]
    return Mixed(torch.stack(rows), pairs(plan, lams(plan)))


def by_mask(a: Tensor, plan: lm.Plan, masks: Sequence[np.ndarray]) -> Mixed:
    """Mix by masks that say how much of the own example each position keeps."""
    rows = []
    for i, mask in enumerate(masks):
        m = torch.from_numpy(mask.astype(np.float64)).unsqueeze(-1)
        rows.append(m * a[i] + (1 - m) * a[plan.partner[i]])
    return Mixed(torch.stack(rows), pairs(plan, [float(mask.mean()) for mask in masks]))


def box(size: tuple[int, ...], lam: float, centre: Sequence[float]) -> np.ndarray:
    mask = np.ones(size)
    share = 1 - lam
    spans = []
    for length, place in zip(size, centre[3 - len(size) :], strict=True):
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
    masks = [box(size, lam, drawn(plan, "centre", i)) for i, lam in enumerate(lams(plan))]
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


def salient(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    (h, w), masks = a.shape[1:-1], []
    for i, lam in enumerate(lams(plan)):
        grey = a[plan.partner[i]].detach().mean(-1).numpy()
        found, side = np.zeros((h, w)), 3
        while side <= max(3, min(h, w)):
            k = side // 2
            for r, c in np.ndindex(h, w):
                around = grey[max(r - k, 0) : r + k + 1, max(c - k, 0) : c + k + 1]
                found[r, c] += abs(grey[r, c] - around.mean())
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
        for centre in np.argwhere(uniform(drawn(plan, "seed", i), size) < rate):
            block = tuple(slice(max(p - side // 2, 0), p + side // 2 + 1) for p in centre)
            mask[block] = lam if blend.soft else 0.0
        masks.append(mask)
    return by_mask(a, plan, masks)


def noisy(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    mixed, shape = linear(a, plan, blend), tuple(a.shape[1:])
    rows = []
    for i, row in enumerate(mixed.values):
        seeds = drawn(plan, "seed", i)
        if plan.ratio.ndim == 0:
            seeds = [seed + i for seed in seeds]
        add, multiply = drawn(plan, "strength", i)
        # Fields have the layout of the activation; here the channels are last, as for tokens.
        xi_a = torch.from_numpy(normal(seeds[0], shape))
        xi_m = torch.from_numpy(2 * uniform(seeds[1], shape) - 1)
        rows.append((1 + 0.2 * multiply * xi_m) * row + 0.4 * add * xi_a)
    return Mixed(torch.stack(rows), mixed.weights)


def aligned(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    rows = []
    for i, lam in enumerate(lams(plan)):
        own, other = a[i].flatten(0, -2), a[plan.partner[i]].flatten(0, -2)  # (L, C)
        cost = (own.detach()[:, None] - other.detach()[None]).square().sum(-1)
        kernel = torch.exp(-cost / (0.1 * cost.mean().clamp_min(1e-300)))
        u = v = torch.ones(len(own), dtype=torch.float64)
        for _ in range(100):  # Sinkhorn-Knopp: all sums of rows and of columns are 1
            v = 1 / (kernel.T @ u)
            u = 1 / (kernel @ v)
        transport = u[:, None] * kernel * v
        rows.append(lam * own + (1 - lam) * (transport @ other))
    return Mixed(torch.stack(rows).view(a.shape), pairs(plan, lams(plan)))


def exchange(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    rows = []
    for i, other in enumerate(plan.partner.tolist()):
        mean, deviation = moments(a[i], -1)
        mean2, deviation2 = moments(a[other], -1)
        rows.append((a[i] - mean) / deviation * deviation2 + mean2)
    return Mixed(torch.stack(rows), pairs(plan, lams(plan)))


def style(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    rows, over = [], tuple(range(a.ndim - 2))
    for i, lam in enumerate(lams(plan)):
        mean, deviation = moments(a[i].detach(), over)
        mean2, deviation2 = moments(a[plan.partner[i]].detach(), over)
        scale = lam * deviation + (1 - lam) * deviation2
        rows.append((a[i] - mean) / deviation * scale + lam * mean + (1 - lam) * mean2)
    return Mixed(torch.stack(rows), torch.eye(plan.batch_size, dtype=torch.float64))


def moments(x: Tensor, over: Any) -> tuple[Tensor, Tensor]:
    mean = x.mean(over, keepdim=True)
    return mean, ((x - mean).square().mean(over, keepdim=True) + 1e-5).sqrt()


def many(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    weights = plan.draws["weights"].double()
    if not blend.dense:
        rows = [sum(w * a[b] for b, w in enumerate(row)) for row in weights]
        return Mixed(torch.stack(rows), weights)  # pyright: ignore[reportArgumentType]
    z = a.flatten(1, -2)  # (B, P, C)
    rows, labels = [], []
    totals = [sum((x @ z[b].mean(0)).relu().detach() for x in z[b]) for b in range(len(z))]
    for p in range(z.shape[1]):
        agreement = [(z[b, p] @ z[b].mean(0)).relu().detach() for b in range(len(z))]
        for row in weights:
            attention = [one / totals[b] for b, one in enumerate(agreement)]
            scaled = torch.stack([w * t for w, t in zip(row, attention, strict=True)])
            share = scaled / scaled.sum() if scaled.sum() > 0 else row
            rows.append((share[:, None] * z[:, p]).sum(0))
            labels.append(share)
    ones = [1] * (a.ndim - 2)
    return Mixed(torch.stack(rows).view(-1, *ones, a.shape[-1]), torch.stack(labels))


def beside(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    mixed = linear(a, plan, blend)
    clean = torch.eye(plan.batch_size, dtype=torch.float64)
    return Mixed(torch.cat([a, mixed.values]), torch.cat([clean, mixed.weights]))


REFERENCES: dict[str, Callable[[Tensor, lm.Plan, Any], Mixed]] = {
    "linear": linear,
    "cut": cut,
    "fourier": fourier,
    "grid": grid,
    "resize": resize,
    "salient": salient,
    "patches": patches,
    "noisy": noisy,
    "aligned": aligned,
    "exchange": exchange,
    "style": style,
    "many": many,
    "beside": beside,
}

# Dimensions of positions that a blend can mix; all others take activations of any shape.
POSITIONS = {"resize": (2,), "salient": (2,)}
POSITIONS |= dict.fromkeys(["cut", "fourier", "grid", "patches", "aligned", "style"], (1, 2, 3))

"""References of blends that mix the values at every position."""

from typing import Any

import torch
from torch import Tensor

import layermix as lm
from blend_references.parts import Mixed, drawn, lams, normal, pairs, uniform


def linear(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    rows = [lam * a[i] + (1 - lam) * a[plan.partner[i]] for i, lam in enumerate(lams(plan))]
    return Mixed(torch.stack(rows), pairs(plan, lams(plan)))


def beside(a: Tensor, plan: lm.Plan, blend: Any) -> Mixed:
    mixed = linear(a, plan, blend)
    clean = torch.eye(plan.batch_size, dtype=torch.float64)
    return Mixed(torch.cat([a, mixed.values]), torch.cat([clean, mixed.weights]))


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

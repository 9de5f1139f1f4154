"""Compare a model with mixing to the same model without, over several seeds.

The examples with other targets use this. The interval is computed as in layermix's studies.
"""

from layermix.reporting.statistics import estimate


def compare(held_out_loss, seeds):
    """Call ``held_out_loss(seed, prob)`` with prob 0 and 1 for each seed; print the difference."""
    plain, mixed = ([held_out_loss(seed, p) for seed in range(seeds)] for p in (0.0, 1.0))
    gap = estimate([m - p for m, p in zip(mixed, plain, strict=True)])
    result = "no difference is shown"
    if gap.high < 0 or gap.low > 0:
        result = "mixing helps" if gap.high < 0 else "mixing hurts"
    means = f"unmixed {estimate(plain).mean:.4f}, mixed {estimate(mixed).mean:.4f}"
    print(f"held-out loss over {seeds} seeds: {means}")
    interval = f"95% interval {gap.low:+.4f} to {gap.high:+.4f}"
    print(f"mixed - unmixed {gap.mean:+.4f} ({interval}): {result}")

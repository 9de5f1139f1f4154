"""Does mixing help? A mixed net and its unmixed twin for every seed, and their difference.

The examples of kinds of targets end with this. The interval is that of layermix's own studies.
"""

from layermix.reporting.statistics import estimate


def compare(held_out_loss, seeds):
    """Train both for each seed, with ``held_out_loss(seed, probability of mixing)``, and print."""
    plain, mixed = ([held_out_loss(seed, p) for seed in range(seeds)] for p in (0.0, 1.0))
    gap = estimate([m - p for m, p in zip(mixed, plain, strict=True)])
    answer = "no difference is shown"
    if gap.high < 0 or gap.low > 0:
        answer = "mixing helps" if gap.high < 0 else "mixing hurts"
    means = f"unmixed {estimate(plain).mean:.4f}, mixed {estimate(mixed).mean:.4f}"
    print(f"held-out loss over {seeds} seeds: {means}")
    interval = f"95% interval {gap.low:+.4f} to {gap.high:+.4f}"
    print(f"mixed - unmixed {gap.mean:+.4f} ({interval}): {answer}")

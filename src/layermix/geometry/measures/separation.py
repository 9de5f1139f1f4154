"""Class separation R², by cosine distances.

Kornblith, Chen, Lee, Norouzi (2021), "Why Do Better Loss Functions Lead to Less Transferable
Features?":

    R² = 1 - mean cosine distance within a class / mean cosine distance of all pairs,

both means taken class by class, so that each class (and each pair of classes) counts alike.
"""

from layermix.geometry.layer import Layer


def separation(layer: Layer) -> float:
    """Return R²: 1 where classes are points, 0 where they lie over one another."""
    shares = layer.members / layer.counts  # (N, K)
    between = 1 - shares.T @ layer.cosines @ shares  # mean distances between classes, (K, K)
    overall = float(between.mean())
    return 1 - float(between.diagonal().mean()) / overall if overall > 1e-12 else 0.0

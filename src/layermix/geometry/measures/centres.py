"""Leave-one-out accuracy of the nearest class centre.

With n members of sum S in a class, the centre without example i is (S - x_i) / (n - 1).
"""

from layermix.geometry.layer import Layer


def centres(layer: Layer) -> float:
    """Return the share of examples that are nearest to the centre of the others of their class."""
    own = layer.members.bool()  # (N, K)
    norms = layer.gram.diagonal()[:, None]  # (N, 1)
    sums = layer.gram @ layer.members  # inner products with each class's sum, (N, K)
    squares = (layer.members * sums).sum(0).expand_as(sums)  # the sums' squared lengths
    counts = layer.counts.double().expand_as(sums)
    inner = sums - norms * own
    lengths = squares - own * (2 * sums - norms)
    members = counts - own.double()
    distances = norms - 2 * inner / members + lengths / members.square()
    return float((distances.argmin(1) == layer.labels).double().mean())

"""Linear CKA with the labels (Kornblith, Norouzi, Lee, Hinton, 2019):

CKA = <X X^T, Y Y^T>_F / (|X X^T|_F |Y Y^T|_F),   X centred features, Y centred one-hot labels.
"""

from layermix.geometry.layer import Layer


def cka(layer: Layer) -> float:
    """Return the alignment of features and labels: 1 where equal classes are all there is."""
    y = layer.members - layer.members.mean(0)
    labels = y @ y.T
    size = layer.gram.norm() * labels.norm()
    return float((layer.gram * labels).sum() / size) if size else 0.0

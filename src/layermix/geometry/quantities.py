"""All numbers of a layer that a profile holds: its measures, and what a mix does to the network."""

from layermix.geometry.measures import MEASURES, Quantity

QUANTITIES: dict[str, Quantity] = {
    **MEASURES,
    "gap": Quantity(
        "interpolation gap",
        "gap",
        "KL from the mix of predictions to the prediction of the mix, in nats; 0 if linear",
        "low",
    ),
    "gap_loss": Quantity(
        "loss of the mix",
        "loss",
        "cross-entropy of the mixed forward with the mixed labels, in nats",
        "low",
    ),
}

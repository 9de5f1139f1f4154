"""The ways to choose partners, by name. A new one is a class and a line in `PARTNERS`."""

from layermix.errors import InputError, brief, unknown
from layermix.mixing.partners.by_class import Balanced, OtherClass, SameClass
from layermix.mixing.partners.by_distance import Farthest, LabelKernel, Nearest, Transport
from layermix.mixing.partners.pairing import Derangement, Pairing, Permutation

__all__ = [
    "PARTNERS",
    "Balanced",
    "Derangement",
    "Farthest",
    "LabelKernel",
    "Nearest",
    "OtherClass",
    "Pairing",
    "Permutation",
    "SameClass",
    "Transport",
    "find_pairing",
]

PARTNERS: dict[str, type[Pairing]] = {
    "permutation": Permutation,
    "derangement": Derangement,
    "other_class": OtherClass,
    "same_class": SameClass,
    "balanced": Balanced,
    "nearest": Nearest,
    "farthest": Farthest,
    "transport": Transport,
    "label_kernel": LabelKernel,
}


def find_pairing(partner: str | Pairing) -> Pairing:
    """Return the pairing of that name with its defaults, or a pairing as it is.

    Raises
    ------
    InputError
        For an unknown name, or an object of another type.
    """
    if isinstance(partner, Pairing):
        return partner
    if not isinstance(partner, str):
        raise InputError(
            f"partner is {brief(partner)}, but must be the name of a way to choose partners "
            f"({', '.join(PARTNERS)}) or one such as layermix.mixing.Nearest(k=4)"
        )
    if partner not in PARTNERS:
        raise unknown("way to choose partners", partner, PARTNERS)
    return PARTNERS[partner]()

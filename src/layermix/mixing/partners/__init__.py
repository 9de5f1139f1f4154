"""Registry of the pairings, which choose partners. To add one, add its class to `PARTNERS`."""

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
    """Return the pairing of this name, with default settings; return a `Pairing` unchanged.

    Raises
    ------
    InputError
        If the name is unknown, or the object has another type.
    """
    if isinstance(partner, Pairing):
        return partner
    if not isinstance(partner, str):
        raise InputError(
            f"partner is {brief(partner)}, but must be a name ({', '.join(PARTNERS)}) or a pairing "
            "such as layermix.mixing.Nearest(k=4)"
        )
    if partner not in PARTNERS:
        raise unknown("partner", partner, PARTNERS)
    return PARTNERS[partner]()

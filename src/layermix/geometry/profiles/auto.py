"""Where to mix, told by a profile: the rule behind ``at="auto"``.

    weight of a point  =  max(0, 1 - SNNL / chance),    then divided by their sum

A point is mixed as often as its classes have come apart: never where they lie over one another,
so that a mix may land anywhere, most often where each is apart from the others. Where no point
has separated anything, as before training, all weights are equal. The rule has no setting.
"""

import math
from collections.abc import Mapping

from layermix.errors import InputError
from layermix.geometry.profiles.values import ProfileValues


def auto_weights(measured: ProfileValues | Mapping[str, float]) -> dict[str, float]:
    """Return the relative probability of each mix point, in [0, 1], adding up to 1.

    Parameters
    ----------
    measured
        A profile, of which the logits are left out, or for each mix point its SNNL over chance;
        one that is NaN gets no weight.

    Raises
    ------
    InputError
        When there is no point, or the profile has no SNNL.

    Examples
    --------
    >>> auto_weights({"input": 0.9, "block": 0.7, "final": 0.4})
    {'input': 0.1, 'block': 0.3, 'final': 0.6}
    """
    if isinstance(measured, ProfileValues):
        rows = [row for row in measured if row.kind != "logits"]
        if rows and "snnl" not in rows[0].values:
            raise InputError("the profile has no SNNL: take it with quantities='snnl', or with all")
        measured = {row.point: row.values["snnl"] for row in rows}
    if not measured:
        raise InputError("there is no mix point to choose from")
    apart = {name: 0.0 if math.isnan(v) else max(0.0, 1.0 - v) for name, v in measured.items()}
    total = sum(apart.values())
    if not total:
        return dict.fromkeys(apart, 1 / len(apart))
    return {name: round(value / total, 12) for name, value in apart.items()}

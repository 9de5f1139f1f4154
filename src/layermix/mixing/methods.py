"""The methods of the literature, each a short recipe of parts: no method has code of its own.

    NAME                    its parts at its own mix point
    NAME@POINT              at another one
    NAME@POINT:KEY=VALUE,.. with other settings

KEY is a setting of the mixer (``alpha``, ``ratio``, ``per``, ``probability``, ``partner``), or of
the method's blend or partners, such as ``k`` of multimix. A blend's name is a method too. Values
are the papers' where they give them; where not, the mixer's own hold.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from layermix.errors import InputError, unknown
from layermix.mixing.blends import (
    BLENDS,
    Aligned,
    Beside,
    Blend,
    Cut,
    Exchange,
    Fourier,
    Grid,
    Linear,
    Many,
    Noisy,
    Patches,
    Resize,
    Salient,
    Style,
    find_blend,
)
from layermix.mixing.partners import (
    Balanced,
    LabelKernel,
    Nearest,
    Pairing,
    Permutation,
    Transport,
    find_pairing,
)

_OF_MIXER = ("alpha", "ratio", "per", "probability", "partner")


@dataclass(frozen=True)
class Method:
    """A method as its parts.

    Attributes
    ----------
    at
        Mix point: ``"input"``, ``"final"``, a module's path; ``"hidden"`` for each block of the
        model, ``"random"`` for the input and each block, one of them a step; ``"last"`` for the
        last block.
    blend
        How two activations become one.
    partner
        Who is mixed with whom.
    options
        Further settings of a mixer: alpha, ratio, per, probability.
    source
        Where it comes from.
    """

    at: str
    blend: Blend = field(default_factory=Linear)
    partner: Pairing = field(default_factory=Permutation)
    options: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments for a mixer: ``Mixer(model, **settings)``."""
        return {"at": self.at, "blend": self.blend, "partner": self.partner, **self.options}

    def where(self, at: str) -> "Method":
        """Return the same method at another mix point."""
        return replace(self, at=at)


METHODS: dict[str, Method] = {
    "mixup": Method("input", options={"alpha": 1.0}, source="Zhang et al., 2018"),
    "manifold-mixup": Method("random", options={"alpha": 2.0}, source="Verma et al., 2019"),
    "cutmix": Method("input", Cut(), options={"alpha": 1.0}, source="Yun et al., 2019"),
    "fmix": Method("input", Fourier(), options={"alpha": 1.0}, source="Harris et al., 2020"),
    "gridmix": Method("input", Grid(), options={"alpha": 1.0}, source="Baek et al., 2021"),
    "resizemix": Method("input", Resize(), options={"alpha": 1.0}, source="Qin et al., 2020"),
    "saliencymix": Method("input", Salient(), options={"alpha": 1.0}, source="Uddin et al., 2021"),
    "patchup": Method(
        "hidden", Patches(share=0.75), options={"alpha": 2.0}, source="Faramarzi et al., 2020"
    ),
    "patchup-hard": Method(
        "hidden",
        Patches(soft=False, share=0.5),
        options={"alpha": 2.0, "probability": 0.7},
        source="Faramarzi et al., 2020",
    ),
    "noisy-feature-mixup": Method(
        "random", Noisy(), options={"alpha": 1.0}, source="Lim et al., 2022"
    ),
    "alignmixup": Method(
        "hidden", Aligned(), options={"alpha": 2.0}, source="Venkataramanan et al., 2022"
    ),
    "moex": Method("hidden", Exchange(), options={"ratio": 0.9}, source="Li et al., 2021"),
    "mixstyle": Method(
        "hidden",
        Style(),
        options={"alpha": 0.1, "per": "sample", "probability": 0.5},
        source="Zhou et al., 2021",
    ),
    "multimix": Method("final", Many(), source="Venkataramanan et al., 2023"),
    "dense-multimix": Method("last", Many(dense=True), source="Venkataramanan et al., 2023"),
    "regmixup": Method("input", Beside(), options={"alpha": 10.0}, source="Pinto et al., 2022"),
    "local-mixup": Method(
        "input", partner=Nearest(k=4), options={"alpha": 1.0}, source="Baena et al., 2022"
    ),
    "k-mixup": Method(
        "input", partner=Transport(), options={"alpha": 1.0}, source="Greenewald et al., 2023"
    ),
    "c-mixup": Method(
        "input", partner=LabelKernel(), options={"alpha": 2.0}, source="Yao et al., 2022"
    ),
    "balanced-mixup": Method(
        "input", partner=Balanced(), options={"alpha": 1.0}, source="Galdran et al., 2021"
    ),
}


def method(spec: str) -> Method:
    """Return a method by name, at its own mix point or another, with its settings or others.

    Parameters
    ----------
    spec
        As ``"cutmix"``, ``"cutmix@layer2"`` or ``"multimix@final:k=4,low=1"``.

    Raises
    ------
    InputError
        For an unknown name or setting, or a value that is none.

    Examples
    --------
    >>> method("multimix@logits:k=4").blend
    Many(k=4, low=0.5, high=2.0, dense=False)
    """
    if not isinstance(spec, str):
        raise unknown("method", spec, [*METHODS, *BLENDS])
    head, _, tail = spec.partition(":")
    name, _, at = head.partition("@")
    if name not in METHODS and name not in BLENDS:
        raise unknown("method", name, [*METHODS, *BLENDS])
    found = METHODS[name] if name in METHODS else _of_blend(BLENDS[name]())
    found = found.where(at) if at else found
    for item in filter(None, tail.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"{item!r} in {spec!r} is no setting: write it as KEY=VALUE")
        found = _with(found, key.strip(), _value(value.strip()), spec)
    return found


def _of_blend(blend: Blend) -> Method:
    """Return a blend as a method, with the ratio that is usual for it."""
    options = {} if blend.usual is None else {"ratio": blend.usual}
    return Method("input", blend, options=options)


def is_method(spec: str) -> bool:
    """Tell whether a word is written as a method, or is the name of one."""
    return "@" in spec or ":" in spec or spec in METHODS


def _with(found: Method, key: str, value: Any, spec: str) -> Method:
    """Return a method with one setting changed, wherever it belongs."""
    if key == "partner":
        return replace(found, partner=find_pairing(value))
    if key == "blend" and isinstance(value, str):
        value = find_blend(value)
    if key in _OF_MIXER:
        others = {"alpha": "ratio", "ratio": "alpha"}
        kept = {name: old for name, old in found.options.items() if name != others.get(key)}
        return replace(found, options={**kept, key: value})
    for part in ("blend", "partner"):
        if key in (f.name for f in fields(getattr(found, part))):
            return replace(found, **{part: replace(getattr(found, part), **{key: value})})
    known = [*_OF_MIXER, *(f.name for p in (found.blend, found.partner) for f in fields(p))]
    raise unknown(f"setting in {spec!r}", key, known)


def _value(text: str) -> Any:
    """Return a number, true or false, or else the word."""
    try:
        return ast.literal_eval(text.capitalize() if text in ("true", "false") else text)
    except (ValueError, SyntaxError):
        return text

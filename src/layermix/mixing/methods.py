"""The methods of the literature, each defined by its mix point, blend, partners and ratio.

    NAME                    the method at its default mix point
    NAME@POINT              at another mix point
    NAME@POINT:KEY=VALUE,.. with other settings
    NAME+NAME+...           in studies: one of several methods in each step, with equal probability

KEY is a setting of the mixer (``alpha``, ``ratio``, ``per``, ``prob``, ``partner``), or of the
method's blend or partners, such as ``k`` of multimix. The name of a blend is also a method. Values
are from the papers; a setting that the paper does not give has the mixer's default.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from layermix.errors import InputError, unknown
from layermix.mixing import blends, partners
from layermix.mixing.blends import BLENDS, Blend
from layermix.mixing.partners import PARTNERS, Pairing, find_pairing

_LARGEST = 2**53  # an integer that a float can represent
_OF_MIXER = ("alpha", "ratio", "per", "prob", "partner")


@dataclass(frozen=True)
class Method:
    """The settings of a mixing method.

    Attributes
    ----------
    at
        Mix point: ``"input"``, ``"final"`` or a module path. Each step draws one of the blocks of
        the model for ``"hidden"``, and one of the input and the blocks for ``"random"``;
        ``"last"`` is the last block.
    blend, partner
        The blend of activations, and the pairing that chooses partners.
    options
        Other settings of the mixer: alpha, ratio, per, prob.
    source
        Authors and year of the paper.
    """

    at: str
    blend: Blend = field(default_factory=blends.Linear)
    partner: Pairing = field(default_factory=partners.Permutation)
    options: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as keyword arguments of a `Mixer`."""
        return {"at": self.at, "blend": self.blend, "partner": self.partner, **self.options}

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """The row of the method in the table: mix point, blend, partners, ratio and source."""
        partner = "all" if isinstance(self.blend, blends.MultiMix) else _text(self.partner)
        options = self.options
        drawn = f"Beta({options['alpha']:g}, same)" if "alpha" in options else "Dirichlet"
        ratio = [f"{options['ratio']}" if "ratio" in options else drawn]
        ratio += [f"per {options['per']}"] if "per" in options else []
        ratio += [f"prob {options['prob']}"] if "prob" in options else []
        return self.at, _text(self.blend), partner, ", ".join(ratio), self.source


def _of(
    source: str, at: str, blend: Blend | None = None, partner: Pairing | None = None, **options: Any
) -> Method:
    return Method(at, blend or blends.Linear(), partner or partners.Permutation(), options, source)


METHODS: dict[str, Method] = {
    "mixup": _of("Zhang et al., 2018", "input", alpha=1.0),
    "manifold-mixup": _of("Verma et al., 2019", "random", alpha=2.0),
    "cutmix": _of("Yun et al., 2019", "input", blends.Cut(), alpha=1.0),
    "fmix": _of("Harris et al., 2020", "input", blends.Fourier(), alpha=1.0),
    "gridmix": _of("Baek et al., 2021", "input", blends.Grid(), alpha=1.0),
    "resizemix": _of("Qin et al., 2020", "input", blends.Resize(), alpha=1.0),
    "saliencymix": _of("Uddin et al., 2021", "input", blends.Salient(), alpha=1.0),
    "patchup": _of("Faramarzi et al., 2020", "hidden", blends.Patches(share=0.75), alpha=2.0),
    "patchup-hard": _of(
        "Faramarzi et al., 2020", "hidden", blends.Patches(soft=False), alpha=2.0, prob=0.7
    ),
    "noisy-feature-mixup": _of("Lim et al., 2022", "random", blends.Noisy(), alpha=1.0),
    "alignmixup": _of("Venkataramanan et al., 2022", "hidden", blends.Aligned(), alpha=2.0),
    "moex": _of("Li et al., 2021", "hidden", blends.MomentExchange(), ratio=0.9),
    "mixstyle": _of(
        "Zhou et al., 2021", "hidden", blends.MixStyle(), alpha=0.1, per="sample", prob=0.5
    ),
    "multimix": _of("Venkataramanan et al., 2023", "final", blends.MultiMix()),
    "dense-multimix": _of("Venkataramanan et al., 2023", "last", blends.MultiMix(dense=True)),
    "regmixup": _of("Pinto et al., 2022", "input", blends.AppendClean(), alpha=10.0),
    "local-mixup": _of("Baena et al., 2022", "input", partner=partners.Nearest(k=4), alpha=1.0),
    "k-mixup": _of("Greenewald et al., 2023", "input", partner=partners.Transport(), alpha=1.0),
    "c-mixup": _of("Yao et al., 2022", "input", partner=partners.LabelKernel(), alpha=2.0),
    "balanced-mixup": _of("Galdran et al., 2021", "input", partner=partners.Balanced(), alpha=1.0),
}


class MethodTable(dict[str, Method]):
    """Dict of methods by name, which prints as a table."""

    def __str__(self) -> str:
        rows = [("method", "at", "blend", "partner", "ratio", "source")]
        rows += [(name, *method.row) for name, method in self.items()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def methods() -> MethodTable:
    """Return the methods of the literature by name; the result prints as a table.

    A `Mixer` accepts each name as ``method=``, also in the form ``"NAME@POINT"`` or
    ``"NAME@POINT:KEY=VALUE,..."``.

    Examples
    --------
    >>> import layermix as lm
    >>> lm.methods()["cutmix"].source
    'Yun et al., 2019'
    """
    return MethodTable(METHODS)


def find_method(method: str | Method) -> Method:
    """Return the method that a text such as ``"cutmix@layer2"`` specifies; return a `Method` as is.

    Raises
    ------
    InputError
        If a name or setting is unknown, a setting has no value, or there are several names.

    Examples
    --------
    >>> find_method("multimix@logits:k=4").blend
    MultiMix(k=4, low=0.5, high=2.0, dense=False)
    """
    if isinstance(method, Method):
        return method
    if not isinstance(method, str):
        raise unknown("method", method, [*METHODS, *BLENDS])
    if len(names := method_names(method)) > 1:
        raise InputError(f"{method!r} names {len(names)} methods: give them as a list, {names}")
    head, _, tail = method.partition(":")
    name, _, at = head.partition("@")
    if name not in METHODS and name not in BLENDS:
        raise unknown("method", name, [*METHODS, *BLENDS])
    found = METHODS[name] if name in METHODS else _of_blend(BLENDS[name]())
    if "@" in head and (not at or "@" in at):
        raise InputError(f"{method!r} must have one mix point after @, such as {name}@final")
    found = replace(found, at=at) if at else found
    for key, value in _given(tail, method).items():
        found = _with(found, key, value, method)
    return found


def _given(tail: str, method: str) -> dict[str, Any]:
    """Return the settings ``KEY=VALUE,...`` after the colon of a method."""
    given: dict[str, Any] = {}
    for item in tail.split(",") if ":" in method else ():
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise InputError(f"{item!r} in {method!r} has no value: write it as KEY=VALUE")
        if key in given:
            raise InputError(f"{method!r} sets {key} twice: leave one out")
        given[key] = _parsed(value)
    if {"alpha", "ratio"} <= given.keys():
        raise InputError(
            f"{method!r} sets alpha and ratio, which exclude each other: leave one out"
        )
    return given


def _of_blend(blend: Blend) -> Method:
    options = {} if blend.default_ratio is None else {"ratio": blend.default_ratio}
    return Method("input", blend, options=options)


def method_names(spec: str) -> list[str]:
    """Split the specification of several methods at each plus sign between them.

    Examples
    --------
    >>> method_names("mixup:alpha=1e+1+cutmix@layer2")
    ['mixup:alpha=1e+1', 'cutmix@layer2']
    """
    return re.split(r"\s*\+\s*(?=[A-Za-z])", spec)


def is_method(spec: str) -> bool:
    """Return True if a text specifies one method: a name, or a name with point or settings."""
    return spec in METHODS or (len(method_names(spec)) == 1 and ("@" in spec or ":" in spec))


def _with(found: Method, key: str, value: Any, spec: str) -> Method:
    """Return a copy of a method in which one setting is changed."""
    if key == "partner":
        return replace(found, partner=find_pairing(value))
    if key in _OF_MIXER:
        other = {"alpha": "ratio", "ratio": "alpha"}.get(key)
        kept = {name: old for name, old in found.options.items() if name != other}
        return replace(found, options={**kept, key: value})
    for part in ("blend", "partner"):
        if key in (f.name for f in fields(getattr(found, part))):
            return replace(found, **{part: replace(getattr(found, part), **{key: value})})
    known = [*_OF_MIXER, *(f.name for p in (found.blend, found.partner) for f in fields(p))]
    raise unknown(f"setting of {spec!r}:", key, known)


def _parsed(text: str) -> Any:
    """Convert the text of a number or boolean to its value; return other texts unchanged."""
    try:
        found = ast.literal_eval(text.capitalize() if text in ("true", "false") else text)
        return text if isinstance(found, int) and abs(found) > _LARGEST else found
    except (ValueError, SyntaxError):
        return text


def _text(part: Blend | Pairing) -> str:
    values = {f.name: getattr(part, f.name) for f in fields(part)}
    shown = [f"{k}={_text(v) if isinstance(v, Blend) else v}" for k, v in values.items()]
    registered = {**BLENDS, **PARTNERS}
    name = next(name for name, kind in registered.items() if kind is type(part))
    return name + (f" ({', '.join(shown)})" if shown else "")

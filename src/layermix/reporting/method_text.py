"""Methods in words, for tables and reports."""

from dataclasses import fields

from layermix.mixing import BLENDS, PARTNERS, Blend, Method, MultiMix, Pairing


def with_whom(method: Method) -> str:
    """Return how a method chooses partners in words."""
    return "all" if isinstance(method.blend, MultiMix) else part(method.partner)


def part(of: Blend | Pairing) -> str:
    """Return a blend or a way to choose partners in words, its settings in brackets."""
    values = {f.name: getattr(of, f.name) for f in fields(of)}
    shown = [f"{k}={part(v) if isinstance(v, Blend) else v}" for k, v in values.items()]
    registered = {**BLENDS, **PARTNERS}
    name = next(name for name, kind in registered.items() if kind is type(of))
    return name + (f" ({', '.join(shown)})" if shown else "")


def how_much(method: Method) -> str:
    """Return the law of a method's ratio in words, and how often it mixes."""
    options = method.options
    law = f"Beta({options['alpha']:g}, same)" if "alpha" in options else "Dirichlet"
    words = [f"{options['ratio']}" if "ratio" in options else law]
    if "per" in options:
        words.append(f"per {options['per']}")
    if "prob" in options:
        words.append(f"probability {options['prob']}")
    return ", ".join(words)

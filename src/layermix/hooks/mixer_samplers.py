"""Create the samplers of a mixer's methods, and resolve the names of groups of mix points.

========== ==============================================================================
auto       the input, each block and the final layer
random     the input and each block, as in Manifold Mixup (Verma et al., 2019)
hidden     each block
last       the last block that is a cut of the network; before a probe, each block
========== ==============================================================================

The embedding of tokens replaces an input that cannot be mixed; before a probe, both are listed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from layermix.errors import InputError, brief, warn
from layermix.hooks.blocks import repeated_blocks, token_embedding
from layermix.hooks.points import MixPoint, names_of
from layermix.hooks.sites import has_head
from layermix.mixing import Method, MethodSampler, find_method
from layermix.mixing.methods import method_names

At = str | MixPoint | Iterable[str | MixPoint]


def samplers_of(
    method: str | Method | Sequence[str | Method] | None,
    at: At | None,
    model: nn.Module,
    parts: Mapping[str, Any],  # unless None, they replace settings of the methods
    others: Mapping[str, Any],  # settings of all samplers
) -> tuple[list[MethodSampler], list[str | None], float | list[float]]:
    """Return a sampler and the name of a group of points (or None) per method, and `prob`."""
    several = [method] if isinstance(method, Method) or method is None else method
    several = method_names(several) if isinstance(several, str) else list(several)
    if not several:
        raise InputError("method is an empty sequence: give at least one, or leave it out")
    given = {name: value for name, value in parts.items() if value is not None}
    samplers, words, probs = [], [], []
    for one in several:
        found = Method("final") if one is None else find_method(one)
        settings = {"blend": found.blend, "partner": found.partner, **found.options}
        probs.append(settings.pop("prob", 1.0) / len(several))
        if given.keys() & {"alpha", "ratio"}:
            settings = {n: v for n, v in settings.items() if n not in ("alpha", "ratio")}
        points, word = _resolved(found.at if at is None else at, model, others["weights"])
        samplers.append(MethodSampler(points, **{**settings, **given, **others}))
        words.append(word)
    return samplers, words, probs if len(several) > 1 else probs[0]


def _resolved(at: At, model: nn.Module, weights: object) -> tuple[tuple[str, ...], str | None]:
    """Return the names of the mix points in `at`, and the name of their group (or None)."""
    names, modules = names_of(at), dict(model.named_modules())
    if isinstance(at, str) and at == "auto":
        if weights is not None:
            raise InputError(
                f"weights are {brief(weights)}, but at='auto' chooses the points itself: call "
                "reweigh with a weight for each name in mixer.points"
            )
        return _points_of("auto", model), "auto"
    for word in ("auto", "random", "hidden", "last"):
        if word in names and word not in modules:  # a module of this name has precedence
            if len(names) == 1 and word != "auto":
                return _points_of(word, model), word
            raise InputError(
                f"{word!r} is a group of mix points, so it cannot be combined with others: pass "
                f"at={word!r} alone, or name every point"
            )
    return names, None


def _points_of(word: str, model: nn.Module) -> tuple[str, ...]:
    blocks = repeated_blocks(model)
    if word in ("hidden", "last") and not blocks:
        raise InputError(
            f"at={word!r} means the repeated blocks of a model, but {type(model).__name__} has "
            "none: name modules, which layermix.points(model, x, all=True) lists"
        )
    if word == "random" and not blocks:
        where = "the input or the embedding" if token_embedding(model) else "the input"
        warn(
            f"at='random' mixes at {where} only, because {type(model).__name__} has no repeated "
            "blocks: name modules, which layermix.points(model, x, all=True) lists"
        )
    before = ["input"] if word in ("auto", "random") else []
    if before and (token := token_embedding(model)) and token not in blocks:
        before.append(token)
    after = ["final"] if word == "auto" and has_head(model) else []
    return (*before, *blocks, *after)

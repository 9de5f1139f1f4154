"""Find the default hidden mix points of a model: its repeated blocks, and its token embedding.

They are similar sibling modules, such as the stages of a ResNet or the blocks of a ViT, each with
two or more layers that have parameters. If a model has several groups of such siblings, the group
with the most layers is used. The outputs of these modules are outside residual branches.
"""

import re
from collections import defaultdict

from torch import nn

from layermix.hooks.sites import HEAD_NAMES

Group = dict[str, nn.Module]  # module paths and modules
_OF_PLACES = re.compile("pos|wpe|type|segment", re.IGNORECASE)


def repeated_blocks(model: nn.Module) -> list[str]:
    """Return the module paths of the repeated blocks; empty if the model has none."""
    modules = model.named_modules(remove_duplicate=False)
    levels = sorted(modules, key=lambda item: (item[0].count("."), item[0] != ""))
    groups = [group for path, module in levels for group in _alike(path, module)]
    # The groups are ordered from outer to inner modules, so an outer group wins a tie.
    return list(max(groups, key=lambda group: sum(map(_layers, group.values())), default={}))


def token_embedding(model: nn.Module) -> str | None:
    """Return the path of the module that embeds tokens, or None if the model has none.

    It is the outermost module with all embeddings (`nn.Embedding`) and no other layers except
    norms, or else the embedding with the most rows, except for those of positions and types.
    """
    modules = dict(model.named_modules())
    embeddings = {k: m for k, m in modules.items() if isinstance(m, nn.Embedding)}
    if not embeddings:
        return None
    for path, module in modules.items():  # outer modules first
        around = path and all(f"{name}.".startswith(f"{path}.") for name in embeddings)
        if around and _only_embeds(module):
            return path
    tokens = [name for name in embeddings if not _OF_PLACES.search(name.rpartition(".")[2])]
    return max(tokens or embeddings, key=lambda name: embeddings[name].num_embeddings)


def _only_embeds(module: nn.Module) -> bool:
    """Return True if a module can be called, and all its layers are embeddings or norms."""
    layers = (m for m in module.modules() if any(True for _ in m.parameters(recurse=False)))
    others = (m for m in layers if m is not module and not isinstance(m, nn.Embedding))
    is_called = type(module).forward is not nn.Module.forward
    return is_called and all("Norm" in type(other).__name__ for other in others)


def _alike(path: str, module: nn.Module) -> list[Group]:
    groups: defaultdict[object, Group] = defaultdict(dict)
    for name, child in module.named_children():
        kind = _kind(name, child, _is_container(module))
        if kind is not None and _layers(child) >= 2:
            groups[kind] |= _callable(_join(path, name), child)
    return [group for group in groups.values() if len(group) > 1]


def _kind(name: str, child: nn.Module, listed: bool) -> object:
    """Return a key that is equal for similar siblings, or None if a child cannot be a block."""
    if listed:  # items of a container
        return type(child)
    if name.lower().startswith((*HEAD_NAMES, "aux")):
        return None
    if numbered := re.match(r"(\D*)\d", name):
        return numbered[1]  # layer1, layer2
    return None if _is_container(child) else type(child)


def _callable(path: str, module: nn.Module) -> Group:
    """Return {path: module}; if the module has no `forward` (a list), its items by path."""
    if type(module).forward is not nn.Module.forward:
        return {path: module}
    found: Group = {}
    for name, child in module.named_children():
        if _layers(child) >= 2:
            found |= _callable(_join(path, name), child)
    return found


def _is_container(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)


def _layers(module: nn.Module) -> int:
    return sum(any(True for _ in m.parameters(recurse=False)) for m in module.modules())


def _join(path: str, name: str) -> str:
    return f"{path}.{name}".lstrip(".")

"""Find the repeated blocks or stages of a model: where mixing is worth trying by default.

Networks are built by repetition. Of all groups of alike siblings in the module tree, each with two
or more layers that have parameters, the one that holds the most such layers gives the candidates:
the four stages of a ResNet or a ConvNeXt, the twelve blocks of a ViT, the layers of a BERT. A stem
or a head made of a few alike parts holds fewer. A mix after such a module never lands inside a
residual branch.
"""

import re
from collections import defaultdict
from collections.abc import Iterator

from torch import nn

from layermix.hooks.head import HEAD_NAMES

Group = dict[str, nn.Module]  # module paths and modules


def repeated_blocks(model: nn.Module) -> list[str]:
    """Return the module paths of the repeated blocks, in the order of the module tree.

    Of groups with equally many layers the outermost one counts. An empty list means that nothing
    in the model repeats.
    """
    groups = [group for path, module in _by_level(model) for group in _alike(path, module)]
    return list(max(groups, key=lambda group: sum(map(_layers, group.values())), default={}))


def _by_level(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield all modules with their paths, level by level of the module tree."""
    level = [("", model)]
    while level:
        yield from level
        level = [(_join(path, n), child) for path, m in level for n, child in m.named_children()]


def _alike(path: str, module: nn.Module) -> list[Group]:
    """Return the groups of alike, composite children, two or more each."""
    groups: defaultdict[object, Group] = defaultdict(dict)
    for name, child in module.named_children():
        kind = _kind(name, child, _is_container(module))
        if kind is not None and _layers(child) >= 2:
            groups[kind] |= _callable(_join(path, name), child)
    return [group for group in groups.values() if len(group) > 1]


def _kind(name: str, child: nn.Module, listed: bool) -> object:
    """Return what makes siblings alike; None where nothing does.

    Items of a container are alike in their class. Attributes are alike whose names differ in their
    number alone, as `layer1` and `layer2`, or that are of one class written for this network.
    """
    if listed:
        return type(child)
    if name.lower().startswith((*HEAD_NAMES, "aux")):
        return None
    numbered = re.match(r"(\D*)\d", name)
    if numbered:
        return numbered[1]
    return None if _is_container(child) else type(child)


def _callable(path: str, module: nn.Module) -> Group:
    """Return the module itself, or the composite items of a list, which is never called."""
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
    """Return the number of layers that have parameters."""
    return sum(any(True for _ in m.parameters(recurse=False)) for m in module.modules())


def _join(path: str, name: str) -> str:
    return f"{path}.{name}".lstrip(".")

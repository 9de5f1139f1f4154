"""Find the repeated blocks or stages of a model: where mixing is worth trying by default.

Networks are built by repetition. The highest level of the module tree on which at least two
siblings of one kind stand, each with two or more layers that have parameters, gives the candidates:
the four stages of a ResNet or a ConvNeXt, the twelve blocks of a ViT, the layers of a BERT. A mix
after such a module never lands inside a residual branch.
"""

from collections import defaultdict

from torch import nn


def repeated_blocks(model: nn.Module) -> list[str]:
    """Return the module paths of the outermost repeated blocks, in the order of the module tree.

    An empty list means that nothing in the model repeats.
    """
    level = [("", model)]
    while level:
        for parent, module in level:
            siblings = _repeated_children(module)
            if siblings:
                return [f"{parent}.{name}".lstrip(".") for name in siblings]
        level = [
            (f"{parent}.{name}".lstrip("."), child)
            for parent, module in level
            for name, child in module.named_children()
        ]
    return []


def _repeated_children(module: nn.Module) -> list[str]:
    """Return the names of the largest group of alike, composite children, two at least."""
    groups: defaultdict[tuple, list[str]] = defaultdict(list)
    for name, child in module.named_children():
        if _layers_with_parameters(child) >= 2:
            groups[_kind(child)].append(name)
    largest = max(groups.values(), key=len, default=[])
    return largest if len(largest) > 1 else []


def _layers_with_parameters(module: nn.Module) -> int:
    return sum(any(True for _ in m.parameters(recurse=False)) for m in module.modules())


def _kind(module: nn.Module) -> tuple:
    """Return what makes siblings alike: the class, for containers also those of their content."""
    if isinstance(module, nn.Sequential | nn.ModuleList):
        return type(module), frozenset(type(child) for child in module)
    return (type(module),)

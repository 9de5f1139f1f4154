"""The house: what imports what, and examples that are true."""

import ast
import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import layermix

ROOT = Path(layermix.__file__).parent
MODULES = {
    ".".join(["layermix", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(
        ".__init__"
    ): path
    for path in sorted(ROOT.rglob("*.py"))
}
# The floors from the ground up; the public names of the core lie between geometry and experiments.
FLOORS = ["errors", "mixing", "functional", "hooks", "geometry", "", "experiments", "reporting"]
FLOORS += ["cli", "__main__"]
HEAVY = ["scipy", "sklearn", "matplotlib", "pandas", "datasets", "timm", "torchvision"]
HEAVY += ["transformers", "torchmetrics", "jinja2", "rich"]


def imported(path: Path) -> list[str]:
    """Return the full names that a file imports, wherever in the file."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides which floor it is from"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def floor(name: str) -> int:
    """Return the floor that a name of layermix is on."""
    part = name.split(".")[1] if "." in name else ""
    return FLOORS.index(part if part in FLOORS else "")


@pytest.mark.parametrize("module", MODULES)
def test_a_floor_imports_only_from_itself_and_the_floors_below(module: str) -> None:
    own = [name for name in imported(MODULES[module]) if name.split(".")[0] == "layermix"]
    assert [name for name in own if floor(name) > floor(module)] == []


# What can be done where a library is installed, which is imported when it is asked for.
OPTIONAL = {
    "layermix.mixing.blends.linear_kernel": {"triton"},
    "layermix.mixing.partners.by_distance": {"scipy"},
    "layermix.geometry.profile_result": {"matplotlib", "pandas"},
    "layermix.geometry.profile_rendering": {"matplotlib"},
}


@pytest.mark.parametrize(
    "module", [name for name in MODULES if floor(name) < FLOORS.index("experiments")]
)
def test_the_core_needs_torch_and_numpy_alone(module: str) -> None:
    allowed = {"layermix", "torch", "numpy", *sys.stdlib_module_names, *OPTIONAL.get(module, ())}
    assert {name.split(".")[0] for name in imported(MODULES[module])} <= allowed


def test_importing_layermix_imports_no_library_of_experiments() -> None:
    code = f"import sys, layermix; print([n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists_and_is_documented() -> None:
    for name in layermix.__all__:
        assert getattr(layermix, name).__doc__, name


@pytest.mark.parametrize(
    "module", [name for name, path in MODULES.items() if ">>>" in path.read_text(encoding="utf-8")]
)
def test_the_examples_of_docstrings_are_true(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0

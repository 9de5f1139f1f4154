"""Tests of the architecture: imports, sizes, names, and docstring examples."""

import ast
import collections
import doctest
import graphlib
import importlib
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import layermix

ROOT, REPOSITORY = Path(layermix.__file__).parent, Path(__file__).parent.parent
MODULES = {
    ".".join(["layermix", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(
        ".__init__"
    ): path
    for path in sorted(ROOT.rglob("*.py"))
}
# From bottom to top. The public names of the core are between geometry and the lab.
LAYERS = [
    "errors",
    "mixing",
    "functional",
    "hooks",
    "geometry",
    "",
    "lab",
    "reporting",
    "experiments",
]
LAYERS += ["cli", "__main__"]
HEAVY = ["scipy", "sklearn", "matplotlib", "pandas", "datasets", "timm", "torchvision"]
HEAVY += ["transformers", "torchmetrics", "jinja2", "rich"]


def imported(path: Path, *, for_types: bool = True) -> list[str]:
    """Return the full names of all imports of a file, including those for type checkers only."""
    found: list[str] = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not for_types:
        tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its layer"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def module_of(name: str) -> str:
    """Return the module of a full name, or the name if it is a module."""
    return name if name in MODULES else name.rpartition(".")[0]


def is_package(module: str) -> bool:
    """Return True if a module is the ``__init__`` of a folder."""
    return MODULES[module].name == "__init__.py"


def layer_of(name: str) -> int:
    """Return the index of the layer of a layermix name."""
    part = name.split(".")[1] if "." in name else ""
    return LAYERS.index(part if part in LAYERS else "")


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_from_its_layer_and_below(module: str) -> None:
    own = [name for name in imported(MODULES[module]) if name.split(".")[0] == "layermix"]
    assert [name for name in own if layer_of(name) > layer_of(module)] == []


def test_imports_have_no_cycles() -> None:
    modules = {name: path for name, path in MODULES.items() if not is_package(name)}
    graph = {
        module: {module_of(name) for name in imported(path, for_types=False)} & modules.keys()
        for module, path in modules.items()
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises a CycleError that shows the cycle


def definitions(path: Path) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Yield the public functions and classes of a file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def test_names_of_files_and_public_objects_are_unique() -> None:
    files = collections.Counter(path.stem for name, path in MODULES.items() if not is_package(name))
    folders = collections.Counter(path.parent.name for n, path in MODULES.items() if is_package(n))
    assert [name for name, count in (files + folders).items() if count > 1] == []
    where = collections.defaultdict(set)
    for module, path in MODULES.items():
        for node in definitions(path):
            where[node.name].add(module)
    assert {name: found for name, found in where.items() if len(found) > 1} == {}


def test_files_and_functions_are_short() -> None:
    files = [*ROOT.rglob("*.py"), *REPOSITORY.glob("tests/**/*.py")]
    long = {
        str(path): lines for path in files if (lines := len(path.read_text().split("\n"))) > 251
    }
    assert long == {}
    lengths = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in MODULES.values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    assert statistics.quantiles(lengths, n=10)[-1] <= 25


@pytest.mark.parametrize("package", ["mixing", "hooks", "geometry", "lab", "reporting", "cli"])
def test_tests_import_public_names_and_few_modules_of_their_package(package: str) -> None:
    for path in REPOSITORY.glob(f"tests/{package}/*.py"):
        found = {module_of(name) for name in imported(path) if name.startswith("layermix.")}
        inner = {module for module in found if not is_package(module) and module.count(".") > 1}
        assert {module for module in inner if module.split(".")[1] != package} == set(), path
        assert len(inner) <= 6, path


# Optional libraries, which are imported at their first use.
OPTIONAL = {
    "layermix.mixing.blends.linear_triton": {"triton"},
    "layermix.mixing.partners.by_distance": {"scipy"},
    "layermix.geometry.profile_result": {"matplotlib", "pandas"},
    "layermix.geometry.profile_rendering": {"matplotlib"},
}


@pytest.mark.parametrize(
    "module", [name for name in MODULES if layer_of(name) < LAYERS.index("lab")]
)
def test_core_imports_only_torch_and_numpy(module: str) -> None:
    allowed = {"layermix", "torch", "numpy", *sys.stdlib_module_names, *OPTIONAL.get(module, ())}
    assert {name.split(".")[0] for name in imported(MODULES[module])} <= allowed


def test_importing_layermix_imports_no_library_of_experiments() -> None:
    code = f"import sys, layermix; print([n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", layermix.__all__)
def test_every_public_docstring_has_a_running_example(name: str) -> None:
    found = getattr(layermix, name)
    finder = doctest.DocTestFinder(recurse=False)
    (test,) = finder.find(found, name, module=sys.modules[found.__module__])
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_there_are_at_most_22_public_names() -> None:
    assert len(layermix.__all__) <= 22


@pytest.mark.parametrize(
    "module", [name for name, path in MODULES.items() if ">>>" in path.read_text(encoding="utf-8")]
)
def test_docstring_examples_pass(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def test_files_named_in_the_architecture_page_exist() -> None:
    page = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", page)) - {"NAME.py"}
    files = [str(path) for path in [*ROOT.rglob("*.py"), *REPOSITORY.glob("[bdt]*/**/*.py")]]
    missing = {name for name in named if not any(path.endswith(f"/{name}") for path in files)}
    assert {name for name in missing if "NAME" not in name} == set()

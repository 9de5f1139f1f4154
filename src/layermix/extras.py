"""The message for a module that is not installed: which one, and the command that installs it.

The core needs torch and numpy alone; `layermix.experiments` and the command line need more.
"""

from importlib.util import find_spec

_LAB = ("datasets", "huggingface_hub", "jinja2", "joblib", "markupsafe", "matplotlib", "PIL")
_LAB += ("rich", "safetensors", "scipy", "sklearn", "threadpoolctl", "torchmetrics", "tyro")


def require(*names: str) -> None:
    """Raise a `ModuleNotFoundError` for a module that is not installed; none is imported."""
    for name in names:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def missing_module(error: ModuleNotFoundError) -> str:
    """Return which module is missing and how to install it, in one line."""
    name = (error.name or str(error)).partition(".")[0]
    package = "'layermix[lab]'" if name in _LAB else name
    return f"the module {name!r} is not installed: run pip install {package}"

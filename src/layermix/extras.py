"""Error messages for modules that are not installed, with the command that installs them.

The core only needs torch and numpy. `layermix.lab` and the command line need more.
"""

from importlib.util import find_spec

_LAB = ("cloudpickle", "datasets", "filelock", "huggingface_hub", "jinja2", "joblib", "markupsafe")
_LAB += ("matplotlib", "PIL", "pydantic", "rich", "safetensors", "scipy", "sklearn", "statsmodels")
_LAB += ("threadpoolctl", "torchmetrics", "tyro")


def require(*names: str) -> None:
    """Raise a `ModuleNotFoundError` if one of these modules is not installed; import none."""
    for name in names:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def missing_module(error: ModuleNotFoundError) -> str:
    """Return a one-line message with the missing module and how to install it."""
    name = (error.name or str(error)).partition(".")[0]
    package = "'layermix[lab]'" if name in _LAB else name
    return f"the module {name!r} is not installed: run pip install {package}"

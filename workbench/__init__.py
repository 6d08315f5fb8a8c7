"""Workbench: every term of Bayes' theorem for one `pm.Model`, explicit, measured and comparable.

    p(theta | y)  =  p(y | theta) * p(theta) / p(y)
    posterior         likelihood     prior     evidence

Importing it loads neither PyMC nor a plotting library; the names below are loaded at first use (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.errors import InputError, NoMaximumError, NumericalError, RefusalError, UsageError, WorkbenchError
    from workbench.models_compared import compare_models
    from workbench.runs import Run, open_run
    from workbench.settings import Settings
    from workbench.study import Study, load

__version__ = "0.1.0"

_HOMES = {
    "InputError": "workbench.errors",
    "NoMaximumError": "workbench.errors",
    "NumericalError": "workbench.errors",
    "RefusalError": "workbench.errors",
    "Run": "workbench.runs",
    "Settings": "workbench.settings",
    "Study": "workbench.study",
    "UsageError": "workbench.errors",
    "WorkbenchError": "workbench.errors",
    "compare_models": "workbench.models_compared",
    "load": "workbench.study",
    "open_run": "workbench.runs",
}

__all__ = [
    "InputError",
    "NoMaximumError",
    "NumericalError",
    "RefusalError",
    "Run",
    "Settings",
    "Study",
    "UsageError",
    "WorkbenchError",
    "__version__",
    "compare_models",
    "load",
    "open_run",
]


def __getattr__(name: str) -> Any:
    """Load a public name at first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__

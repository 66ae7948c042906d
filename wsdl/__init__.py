"""WSDL: a declarative language for neural networks with weight sharing, compiled to ONNX.

The Python API is in `wsdl.api`, which is imported at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsdl._version import __version__

if TYPE_CHECKING:
    from wsdl.api import Callback, Model, Program, Proposal, check, compile, fit, format, load, match
    from wsdl.diagnostics import CompileError, Diagnostic
    from wsdl.diagnostics.run_error import RunError
    from wsdl.studies import Study, study

__all__ = [
    "Callback",
    "CompileError",
    "Diagnostic",
    "Model",
    "Program",
    "Proposal",
    "RunError",
    "Study",
    "__version__",
    "check",
    "compile",
    "fit",
    "format",
    "load",
    "match",
    "study",
]

_HOMES = {
    "CompileError": "wsdl.diagnostics",
    "Diagnostic": "wsdl.diagnostics",
    "RunError": "wsdl.diagnostics.run_error",
    "Study": "wsdl.studies",
    "study": "wsdl.studies",
}


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext wsdl` in a notebook."""
    from wsdl.notebook.magic import register

    register(shell)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'wsdl' has no attribute {name!r}")
    from importlib import import_module

    globals()[name] = value = getattr(import_module(_HOMES.get(name, "wsdl.api")), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The output of `wsdl --version`, for bug reports: the versions of wsdl and of what it runs on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from wsdl._version import __version__

RUNTIMES = ("onnxruntime", "onnxruntime-gpu")  # the same module, built for the CPU or for CUDA


def versions() -> str:
    """`wsdl 0.1.0 (Python 3.11.7, onnx 1.23.2, onnxruntime 1.32.0, Linux x86_64)`."""
    runtimes = [name for name in RUNTIMES if _installed(name)] or [RUNTIMES[0]]
    parts = [
        f"Python {platform.python_version()}",
        *(f"{name} {_installed(name) or 'not installed'}" for name in ("onnx", *runtimes)),
        f"{platform.system()} {platform.machine()}",
    ]
    return f"wsdl {__version__} ({', '.join(parts)})"


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

"""Sessions of ONNX Runtime: devices, options, and errors while a model is loaded or run."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wsdl.diagnostics.run_error import RunError, fail

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
OPTIONS = {"cuda": {"use_tf32": "0"}}  # matrix products in full f32, the default of PyTorch
RAISED = (RuntimeError, ValueError, TypeError, MemoryError)  # by the runtime, beside a dozen classes of its own
_CHECK = re.compile(r"Name:'[^']*?assume ([^']*)'")
_INDEX = re.compile(r"running (?:Gather|Scatter)\w* node.*(?:out of data bounds|Out of range|invalid index)")
_BOUNDS = re.compile(r"idx=(-?\d+) must be within the inclusive range \[(-?\d+),(-?\d+)\]")


def load(
    model: bytes | str | Path,
    name: str,
    device: str = "cpu",
    threads: int | None = None,
    *,
    prepack: bool = True,
    reuse_plan: bool = True,
    rewrite: bool = True,
) -> Any:
    """An ONNX Runtime session for a model; `name` is that of its file.

    Some of its optimizations can be turned off: `prepack`, packed copies of matrices that make products faster;
    `reuse_plan`, the memory plan of the first run for all later ones, which takes more memory; `rewrite`, all graph
    rewriting.
    """
    onnxruntime = _runtime()
    _require_device(onnxruntime, device)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, not logged as well
    options.intra_op_num_threads = threads or cores()
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = reuse_plan
    options.add_session_config_entry("session.force_spinning_stop", "1")  # its threads don't spin between runs
    if not rewrite:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if not prepack:
        options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        providers = [(PROVIDERS[d], OPTIONS.get(d, {})) for d in dict.fromkeys([device, "cpu"])]
        session = onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else os.fspath(model), options, providers=providers
        )
    except Exception as error:  # as above
        raise _load_failure(error, model, name) from error
    if session.get_providers()[0] != PROVIDERS[device]:
        raise fail(
            "E0714",
            f"ONNX Runtime lists the device `{device}`, but couldn't start it",
            help="its log says why: most often CUDA or cuDNN is missing, or not the version that the runtime needs",
        )
    return session


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        help = "`pip install onnxruntime`, or onnxruntime-gpu for CUDA"
        if find_spec("onnxruntime") is None:
            message = "running a model needs the package onnxruntime, which is not installed"
        else:
            message = f"the package onnxruntime is installed, but can't be imported: {_first_line(error)}"
        raise fail("E0719", message, help=help) from error
    return onnxruntime


def _require_device(onnxruntime: Any, device: str) -> None:
    if device not in PROVIDERS:
        raise fail("E0714", f"there is no device `{device}`", help="the devices are `cpu` and `cuda`")
    if PROVIDERS[device] not in onnxruntime.get_available_providers():
        raise fail(
            "E0714",
            f"this ONNX Runtime ({onnxruntime.__version__}) can't run on `{device}`",
            help="`pip uninstall onnxruntime`, then `pip install onnxruntime-gpu`; they can't be installed together",
        )
    if device == "cuda":
        _find_cuda(onnxruntime)


@cache
def _find_cuda(onnxruntime: Any) -> None:
    """Load CUDA and cuDNN from NVIDIA's Python packages if installed, such as those that PyTorch depends on. Missing
    ones show up when the device is started."""
    with suppress(Exception), redirect_stdout(io.StringIO()):  # it prints the libraries that are missing
        onnxruntime.preload_dlls()


def cores() -> int:
    """The number of cores that this process may use. (By default the runtime pins threads, and warns in containers.)"""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load_failure(error: Exception, model: bytes | str | Path, name: str) -> RunError:
    if not isinstance(model, bytes) and not Path(model).is_file():
        return fail("E0715", "there is no such file", file=name)
    return fail("E0715", f"ONNX Runtime can't load this model: {_first_line(error)}", file=name)


def run_failure(error: Exception, name: str, arrays: Mapping[str, Any]) -> RunError:
    """The error for a run that stopped; `arrays` are its inputs. Raises an exception that isn't the runtime's again."""
    if not isinstance(error, RAISED) and not type(error).__module__.startswith("onnxruntime"):
        raise error
    shapes = [f"{input}: {list(a.shape)}" for input, a in arrays.items()]
    check = _CHECK.search(str(error))
    if check:
        relation, _, message = check.group(1).partition(": ")
        message = re.sub(r"_\d+$", "", message)  # which makes the name of the node unique
        message = f"{message}: the model" if message else "the model"
        return fail("E0716", f"{message} needs {relation}, which these inputs don't satisfy", details=shapes)
    if _INDEX.search(str(error)):
        bounds = _BOUNDS.search(str(error))
        beyond = "{}, where {} to {} are valid".format(*bounds.groups()) if bounds else "out of range"
        return fail("E0728", f"an index that the model has computed is {beyond}", file=name, details=shapes)
    empty = [f"`{input}`" for input, a in arrays.items() if not a.size]
    if empty:
        message = f"the model has no input to compute from: {' and '.join(empty)} has no elements"
        return fail("E0716", message, file=name, details=shapes)
    return fail("E0715", f"ONNX Runtime stopped: {_first_line(error)}", file=name, details=shapes)


def _first_line(error: Exception) -> str:
    """The runtime's message, without the locations in its own code that follow; the class of an error without one."""
    return str(error).strip().partition("\n")[0] or type(error).__name__

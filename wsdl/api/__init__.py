"""The Python API: `compile` a file, run and train its models, inspect what is stored.

    program = wsdl.compile("lm.wsd")                    # `CompileError` carries the diagnostics
    program.models["lm"].save("build/lm.onnx")
    lm = program.session("lm", weights="run/best.safetensors")
    logits = lm(ids=ids)["logits"]                      # NumPy in, NumPy out

    models = wsdl.load("build/")                        # every model of a compiled folder

The command line is a thin layer over this module. Importing it is cheap: NumPy, ONNX and ONNX Runtime are imported
when they are needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsdl.api.checking import check, examine, format
from wsdl.api.program import Model, Program, compile
from wsdl.api.running import load, open_model, run
from wsdl.api.showing import graph, inspect, write_picture
from wsdl.api.sources import STDIN, read_source, require, write_files
from wsdl.api.training import Trained, evaluate, fit, train
from wsdl.ir.graph import Binding
from wsdl.ir.inventory import Inventory
from wsdl.ir.stages import Checked
from wsdl.ir.target import OPSETS, PRECISIONS, Loops, Materialize, Precision
from wsdl.ir.types import TensorType

if TYPE_CHECKING:
    from wsdl.runtime.plan import Better, Plan
    from wsdl.runtime.stopping import Interrupted

__all__ = [
    "OPSETS",
    "PRECISIONS",
    "STDIN",
    "Better",
    "Binding",
    "Checked",
    "Interrupted",
    "Inventory",
    "Loops",
    "Materialize",
    "Model",
    "Plan",
    "Precision",
    "Program",
    "TensorType",
    "Trained",
    "check",
    "compile",
    "evaluate",
    "examine",
    "fit",
    "format",
    "graph",
    "inspect",
    "load",
    "open_model",
    "read_source",
    "require",
    "run",
    "train",
    "write_files",
    "write_picture",
]

_OF_TRAINING = {
    "Better": "wsdl.runtime.plan",
    "Interrupted": "wsdl.runtime.stopping",
    "Plan": "wsdl.runtime.plan",
}  # imported at first use


def __getattr__(name: str) -> Any:
    if name not in _OF_TRAINING:
        raise AttributeError(f"module 'wsdl.api' has no attribute {name!r}")
    from importlib import import_module

    globals()[name] = value = getattr(import_module(_OF_TRAINING[name]), name)
    return value

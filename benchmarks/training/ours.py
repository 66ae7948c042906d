"""A compiled step of training as ONNX Runtime runs it: old state in, new state out, the two exchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from safetensors.numpy import load_file

Array = NDArray[Any]


class Step:
    """`<model>.train.onnx` of a compiled folder."""

    def __init__(self, folder: Path, model: str, threads: int, profile: str = "") -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.enable_mem_pattern = False
        options.log_severity_level = 4
        if profile:
            options.enable_profiling, options.profile_file_prefix = True, profile
        self.session = ort.InferenceSession(str(folder / f"{model}.train.onnx"), options, ["CPUExecutionProvider"])
        contract = json.loads(self.session.get_modelmeta().custom_metadata_map["wsdl.training"])
        state = load_file(folder / contract["initial"])
        if contract["total_steps"]:
            state["total_steps"] = np.array(1000)
        old = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in state.items()}
        new = {name: ort.OrtValue.ortvalue_from_numpy(array.copy()) for name, array in state.items()}
        self.loss = ort.OrtValue.ortvalue_from_numpy(np.zeros((), np.float32))
        self.bindings = [self._bound(contract["feeds"], old, new), self._bound(contract["feeds"], new, old)]

    def _bound(self, feeds: dict[str, str], old: dict[str, Any], new: dict[str, Any]) -> Any:
        binding = self.session.io_binding()
        for name, value in old.items():
            binding.bind_ortvalue_input(name, value)
        for output in self.session.get_outputs():
            value = new[feeds[output.name]] if output.name in feeds else self.loss
            binding.bind_ortvalue_output(output.name, value)
        return binding

    def __call__(self, batch: dict[str, Array]) -> float:
        """Takes a step; the loss before it."""
        binding = self.bindings[0]
        for name, array in batch.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        self.session.run_with_iobinding(binding)
        self.bindings.reverse()
        return float(self.loss.numpy())

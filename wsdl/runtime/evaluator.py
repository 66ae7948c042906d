"""Loss and metrics of a whole set of data, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from wsdl.onnx.folder import loadable
from wsdl.onnx.training import EvaluationModel
from wsdl.runtime.arrays import check_inputs
from wsdl.runtime.errors import fail
from wsdl.runtime.loading import load, run_failure


class Evaluator:
    """An evaluation that is loaded and ready."""

    def __init__(self, model: EvaluationModel, *, device: str = "cpu", threads: int | None = None) -> None:
        self.model, self.device = model, device
        with loadable(model.proto, model.values) as loaded:
            self._session = load(loaded, model.proto.graph.name, device, threads, reuse_plan=False)

    def run(self, batches: Iterable[Mapping[str, Any]], carried: Mapping[str, Any]) -> dict[str, float]:
        """The results, by name. `carried` are the stored tensors that are inputs, as arrays or on the device."""
        feeds = {name: self._value(value) for name, value in carried.items()}
        names = [value.name for value in self._session.get_outputs()]
        tally, is_empty = self.model.evaluation.start(), True
        for batch in batches:
            arrays, is_empty = check_inputs(self.model.batch, batch), False
            feeds |= {name: self._value(array) for name, array in arrays.items()}
            try:
                outputs = self._session.run_with_ort_values(names, feeds)
            except Exception as error:  # ONNX Runtime has a dozen classes of them, without a common one
                raise run_failure(error, self.model.proto.graph.name, arrays) from error
            tally.add({name: float(value.numpy()) for name, value in zip(names, outputs, strict=True)})
        if is_empty:
            raise fail("E0718", "there is nothing to evaluate with: the data have no batch")
        return tally.results()

    def _value(self, value: Any) -> Any:
        from onnxruntime import OrtValue

        if not isinstance(value, np.ndarray):
            return value
        return OrtValue.ortvalue_from_numpy(np.asarray(value, order="C"), self.device, 0)

"""Loss and metrics of a whole data set, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.run_error import fail
from wsdl.ir.step import PART_START
from wsdl.ir.training_graphs import Round
from wsdl.onnx.folder import loadable
from wsdl.onnx.index_reads import index_reads
from wsdl.onnx.training import EvaluationModel
from wsdl.runtime.arrays import check_inputs
from wsdl.runtime.batches import has_rows
from wsdl.runtime.exchange import Exchange
from wsdl.runtime.indices import check_indices
from wsdl.runtime.loading import load, run_failure
from wsdl.runtime.tally import Sizes, Tally, results


class Evaluator:
    """An evaluation, loaded in ONNX Runtime. Of several workers (`exchange`) each computes some of the batches."""

    def __init__(
        self,
        model: EvaluationModel,
        *,
        device: str = "cpu",
        threads: int | None = None,
        exchange: Exchange | None = None,
    ) -> None:
        self.model, self.device, self._exchange = model, device, exchange or Exchange()
        self.indices = [read for proto in model.protos for read in index_reads(proto)]
        self.parts = 0  # the number of batches that the last run had
        self._sessions = []
        for proto in model.protos:
            with loadable(proto, model.values) as loaded:
                self._sessions.append(load(loaded, model.name, device, threads, reuse_plan=False))
        read = {value.name for session in self._sessions for value in session.get_inputs()}
        behind = {value.name for value in model.evaluation.rest.inputs}
        sizes = {merge.wholes[0].name: merge for merge in model.evaluation.merges if merge.how == "size"}
        self._sizes = [merge for name, merge in sizes.items() if name in read | behind]
        self._counts_first = not self._sessions or bool(sizes.keys() & read)

    def run(self, batches: Iterable[Mapping[str, Any]], carried: Mapping[str, Any]) -> dict[str, float]:
        """The results, by name. `carried` are the stored tensors that are inputs, as arrays or on the device.

        If the computation for a row depends on all rows (`x - mean(x)`), `batches` is iterated several times.
        """
        evaluation = self.model.evaluation
        if len(self._sessions) + self._counts_first > 1 and iter(batches) is batches:
            message = "these batches can be iterated only once, but a loss or metric needs several passes"
            raise fail(
                "E0718", message, help="it compares rows with the whole data set; pass a list instead of a generator"
            )
        feeds = {name: self._value(value) for name, value in carried.items()}
        sizes, wholes = Sizes(self.model.batch, evaluation.rows), dict[str, Any]()
        if self._counts_first:
            for arrays in self._checked(batches):
                sizes.add(arrays)
            wholes |= self._known(sizes)
        for session, own in zip(self._sessions, evaluation.rounds, strict=True):
            feeds |= {name: self._value(array) for name, array in wholes.items()}
            passed, tally = self._exchange.agreed(partial(self._gone_through, session, own, feeds, batches))
            if not sizes.parts:
                sizes = passed
            wholes |= {**self._known(sizes), **self._merged(own, sizes, tally).wholes()}
        self.parts = sizes.parts
        computed = results(evaluation.rest, wholes, sizes)
        return {name: float(array) for name, array in zip(evaluation.names, computed, strict=True)}

    def _gone_through(
        self, session: Any, own: Round, feeds: Mapping[str, Any], batches: Iterable[Mapping[str, Any]]
    ) -> tuple[Sizes, Tally]:
        """The sizes of all batches, and what a round computes from those of this worker."""
        sizes, tally = Sizes(self.model.batch, self.model.evaluation.rows), Tally(own.merges)
        for number, arrays in enumerate(self._checked(batches)):
            if number % self._exchange.size == self._exchange.rank:
                tally.add(self._parts(session, feeds, {**arrays, PART_START.name: np.array(sizes.count)}))
            sizes.add(arrays)
        return sizes, tally

    def _merged(self, own: Round, sizes: Sizes, tally: Tally) -> Tally:
        """What all workers have computed in a round, from what this one has."""
        return self._exchange.merged(own.merges, sizes, lambda: tally)

    @property
    def findings(self) -> list[Diagnostic]:
        """Warnings about the last run: which of its results depend on how the data were cut into batches."""
        return self.model.evaluation.warnings if self.parts > 1 else []

    def _checked(self, batches: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """The batches that have rows; empty ones are skipped."""
        rows = self.model.evaluation.rows
        for batch in batches:
            arrays = check_inputs(self.model.batch, batch)
            if self.device != "cpu":  # on the CPU the runtime checks
                check_indices(self.indices, arrays)
            if rows is None or all(len(a) for n, a in arrays.items() if has_rows(self.model.batch[n], rows)):
                yield arrays

    def _known(self, sizes: Sizes) -> dict[str, Any]:
        if not sizes.parts:
            raise fail("E0718", "the evaluation data has no rows")
        return sizes.wholes(self._sizes)

    def _parts(self, session: Any, feeds: Mapping[str, Any], arrays: Mapping[str, Any]) -> list[Any]:
        input_names = {value.name for value in session.get_inputs()}
        own = {name: value for name, value in feeds.items() if name in input_names}
        own |= {name: self._value(array) for name, array in arrays.items() if name in input_names}
        try:
            outputs = session.run_with_ort_values(None, own)
        except Exception as error:  # ONNX Runtime's exceptions have no common class
            check_indices(self.indices, arrays)
            raise run_failure(error, self.model.name, arrays) from error
        return [value.numpy() for value in outputs]

    def _value(self, value: Any) -> Any:
        from onnxruntime import OrtValue

        if not isinstance(value, np.ndarray):
            return value
        return OrtValue.ortvalue_from_numpy(np.asarray(value, order="C"), self.device, 0)

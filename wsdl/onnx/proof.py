"""The proof of sharing: is each stored tensor still one tensor after ONNX Runtime has optimised the graph?

The runtime is asked to write down what it makes of the model, at the extended level (all rewriting of the graph) and at
the full level (also the CPU's own layouts). The stored tensors are looked for in the outcome by content, and the bytes
are added up. Matrices that the CPU packs for its products are no initializers; they are reported as bytes of their own,
which the session option `session.disable_prepacking` avoids.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, external_data_helper, numpy_helper

from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.onnx.guards import bodies, tensor_bytes
from wsdl.onnx.likeness import SMALL, Found, is_recognisable, look_for

Array = NDArray[Any]
INLINE = 1 << 30  # bytes; a larger model goes to the runtime as a file


class Unproved(Exception):
    """ONNX Runtime can't load the model on the CPU, and so says nothing about it."""


@dataclass(frozen=True)
class Proof:
    """How often one stored tensor is there: in the file, and after the runtime's optimisation at two levels."""

    stored: str
    bytes: int
    copies_in_file: float
    copies_after_optimisation: float
    copies_at_full_level: float

    @property
    def holds(self) -> bool:
        """Is it stored once, in the file and after all rewriting?"""
        return max(self.copies_in_file, self.copies_after_optimisation) < 1.01


@dataclass(frozen=True)
class Proofs:
    """The proof of each tensor, and bytes in all: of the stored tensors, and of all initializers at each stage."""

    tensors: list[Proof]
    stored_bytes: int
    file_bytes: int
    optimised_bytes: int
    full_level_bytes: int
    packed_bytes: int  # of matrices packed for this CPU, in memory only

    @property
    def holds(self) -> bool:
        """Is everything stored once? Also by the bytes, which show copies that no comparison finds."""
        slack = 0.01 * self.stored_bytes + 64 * SMALL
        return all(p.holds for p in self.tensors) and self.optimised_bytes <= self.file_bytes + slack


def prove(model: str | Path | bytes | ModelProto, names: Sequence[str] | None = None) -> Proofs:
    """Prove the sharing of a model; `names` are its stored tensors, by default those that its metadata lists, else all
    initializers of at least 1 KiB. Raises `Unproved` where ONNX Runtime can't load it on the CPU."""
    proto, folder = _load(model)
    stored = _stored(proto, folder, names)
    changed = _make_recognisable(proto, stored)
    in_file = look_for(stored, _tensors(proto.graph, folder))
    with tempfile.TemporaryDirectory(prefix="wsdl-proof-") as place:
        source = os.fspath(model) if isinstance(model, str | Path) and not changed else _source(proto, folder, place)
        extended, _ = _optimised(source, stored, "extended")
        full, packed = _optimised(source, stored, "all")
    proofs = [
        Proof(name, a.nbytes, *(_copies(found, name, a) for found in (in_file, extended, full)))
        for name, a in stored.items()
    ]
    total = sum(a.nbytes for a in stored.values())
    return Proofs(proofs, total, in_file.total, extended.total, full.total, packed)


def _copies(found: Found, name: str, array: Array) -> float:
    """Small tensors are not told apart: they count once."""
    return round(found.copies[name], 4) if array.nbytes >= SMALL else 1.0


# -- reading -----------------------------------------------------------------------------------------------------------


def _load(model: str | Path | bytes | ModelProto) -> tuple[ModelProto, str]:
    """The model without external data, and the folder where that lies."""
    if isinstance(model, ModelProto):
        copy = ModelProto()
        copy.CopyFrom(model)
        return copy, ""
    if isinstance(model, bytes):
        return onnx.load_from_string(model), ""
    return onnx.load(os.fspath(model), load_external_data=False), os.path.dirname(os.path.abspath(model))


def _stored(proto: ModelProto, folder: str, names: Sequence[str] | None) -> dict[str, Array]:
    if names is None:
        records = next((p.value for p in proto.metadata_props if p.key == "wsdl.sharing"), None)
        names = None if records is None else [record["name"] for record in json.loads(records)]
    arrays = {
        t.name: numpy_helper.to_array(t, folder) for t in proto.graph.initializer if names is None or t.name in names
    }
    return {name: a for name, a in arrays.items() if names is not None or a.nbytes >= SMALL}


def _tensors(graph: GraphProto, folder: str) -> Iterator[tuple[str, Array]]:
    """All constant tensors: initializers and `Constant` nodes, those of bodies too."""
    for tensor in graph.initializer:
        yield tensor.name, numpy_helper.to_array(tensor, folder)
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("t"):
                yield node.output[0], numpy_helper.to_array(attribute.t, folder)
        for body in bodies(node):
            yield from _tensors(body, folder)


def _make_recognisable(proto: ModelProto, stored: dict[str, Array]) -> bool:
    """Give tensors that can't be told from others (zeros, ones, equal ones) random numbers: which copies the optimiser
    makes doesn't depend on them. Were there any?"""
    seen: set[bytes] = set()
    generator = np.random.default_rng(0)
    changed = False
    for tensor in proto.graph.initializer:
        array = stored.get(tensor.name)
        if array is None or array.nbytes < SMALL or array.dtype.kind not in "fV":
            continue
        sample = array.ravel()[:1024].tobytes()
        if sample in seen or not is_recognisable(array):
            stored[tensor.name] = generator.normal(size=array.shape).astype(array.dtype)
            tensor.CopyFrom(numpy_helper.from_array(stored[tensor.name], tensor.name))
            changed = True
        seen.add(sample)
    return changed


# -- the runtime's side ------------------------------------------------------------------------------------------------


def _source(proto: ModelProto, folder: str, place: str) -> bytes | str:
    """A model for the runtime: its bytes with all numbers in them, or where these are many a file in `place`."""
    external_data_helper.load_external_data_for_model(proto, folder)
    if sum(map(tensor_bytes, proto.graph.initializer)) <= INLINE:
        serialized: bytes = proto.SerializeToString()
        return serialized
    path = os.path.join(place, "model.onnx")
    onnx.save(proto, path, save_as_external_data=True)
    return path


def _optimised(source: bytes | str, stored: dict[str, Array], level: str) -> tuple[Found, int]:
    """What the runtime makes of a model, and the bytes that it packs."""
    with tempfile.TemporaryDirectory(prefix="wsdl-proof-") as folder:
        outcome = os.path.join(folder, "optimised.onnx")
        _run_optimiser(source, outcome, level)
        optimised = onnx.load(outcome, load_external_data=False)
        packed = _take_packed_bytes(optimised.graph)
        return look_for(stored, _tensors(optimised.graph, folder)), packed


def _run_optimiser(source: bytes | str, outcome: str, level: str) -> None:
    try:
        import onnxruntime
    except ImportError as error:
        message = "proving that weights are stored once needs the package onnxruntime, which is not installed"
        raise CompileError([Diagnostic("E0719", message, help="`pip install onnxruntime`")]) from error

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if level == "all" else levels.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = outcome
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "optimised.data")
    options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", str(SMALL))
    options.add_session_config_entry("session.save_external_prepacked_constant_initializers", str(int(level == "all")))
    try:
        onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it has a dozen classes of them, without a common one
        raise Unproved(str(error).strip().partition("\n")[0]) from error


def _take_packed_bytes(graph: GraphProto) -> int:
    """The lengths of the records `prepacked_…` (`kernel|offset;length;checksum|…`), each place of the file once; they
    are taken out, because nobody else knows them."""
    places: dict[str, int] = {}
    for tensor in _initializers(graph):
        for entry in [e for e in tensor.external_data if e.key.startswith("prepacked")]:
            for record in entry.value.split("|")[1:]:
                offset, length, *_ = record.split(";")
                places[offset] = int(length)
            tensor.external_data.remove(entry)
    return sum(places.values())


def _initializers(graph: GraphProto) -> Iterator[TensorProto]:
    """Those of a graph and of all bodies in it."""
    yield from graph.initializer
    for node in graph.node:
        for body in bodies(node):
            yield from _initializers(body)

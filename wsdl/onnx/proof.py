"""The proof of sharing: is each stored tensor still one tensor after ONNX Runtime has optimized the graph?

ONNX Runtime saves the optimized model, at the extended level (all graph rewrites) and at the full level (also the CPU's
own layouts). The weights are external data: tensors that it has not changed still refer to their file, and new ones are
compared with the stored tensors by content. The total bytes are compared too. Matrices that the CPU prepacks for its
products are no initializers; their bytes are reported separately (`session.disable_prepacking` avoids them).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, numpy_helper

from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.onnx.folding import SMALL, folded_origins, maps_of
from wsdl.onnx.likeness import Comparison, count_copies, is_recognizable
from wsdl.onnx.structure import structure_of
from wsdl.onnx.walk import subgraphs
from wsdl.weights.onnx_source import read_tensor

Array = NDArray[Any]
Level = Literal["extended", "all"]
ONCE = 1.01  # a tensor with fewer copies is stored once
RANDOM = 64 << 20  # the most bytes of weights that are replaced by random values because they can't be distinguished
DATA = "optimized.wsdl.data"  # a name that a model's own data file doesn't have
_NOT_HERE = re.compile(  # reasons that depend on this machine or runtime, not on the model
    r"NOT_IMPLEMENTED|max supported IR version|Current official support for domain|bad_alloc|allocate memory", re.I
)


class Unproved(Exception):
    """ONNX Runtime can't load the model on this machine's CPU, so nothing is known about its copies."""


class Unloadable(Exception):
    """ONNX Runtime can't load the model on any machine."""


@dataclass(frozen=True)
class Proof:
    """The copies of one stored tensor: in the file, and after the runtime's optimization at two levels; `None` for
    a tensor below 1 KiB, which is not checked."""

    stored: str
    bytes: int
    copies_in_file: float | None
    copies_after_optimization: float | None
    copies_at_full_level: float | None

    @property
    def copies(self) -> float:
        """The maximum of those in the file and after all graph rewrites; 0 if the tensor was not checked."""
        return max(self.copies_in_file or 0, self.copies_after_optimization or 0)

    @property
    def holds(self) -> bool:
        """Whether it is stored once, in the file and after all graph rewrites."""
        return self.copies < ONCE


@dataclass(frozen=True)
class CreatedTensor:
    """A tensor that the runtime computes when it loads the model, and the stored tensors that it is computed from."""

    name: str
    bytes: int
    origins: tuple[str, ...]


@dataclass(frozen=True)
class Proofs:
    """The result for each tensor, and total bytes: of the stored tensors, and of all initializers at each stage.

    `constants` are the initializers, after optimization, that the runtime computes from constants alone, with their
    bytes; `created` are other initializers that it computes and that are no copies of stored tensors.
    """

    tensors: list[Proof]
    stored_bytes: int
    file_bytes: int
    optimized_bytes: int
    full_level_bytes: int
    packed_bytes: int  # of matrices packed for this CPU, in memory only
    constants: Mapping[str, int] = field(default_factory=dict)
    created: tuple[CreatedTensor, ...] = ()

    @property
    def constant_bytes(self) -> int:
        return sum(self.constants.values())

    @property
    def added_bytes(self) -> int:
        """The bytes that the runtime stores in addition to those of the file; negative if it stores less."""
        return self.optimized_bytes - self.constant_bytes - self.file_bytes

    @property
    def holds(self) -> bool:
        """Whether everything is stored once, also by the bytes, which show copies that the comparison doesn't find."""
        slack = 0.01 * self.stored_bytes + 64 * SMALL
        return all(p.holds for p in self.tensors) and self.added_bytes <= slack


def prove(model: str | Path | bytes | ModelProto, names: Sequence[str] | None = None) -> Proofs:
    """Count the copies of the stored tensors of a model in ONNX Runtime; `names` are its stored tensors, by default
    those that its metadata lists, else all initializers of at least 1 KiB. Raises `Unproved` or `Unloadable` where ONNX
    Runtime can't load it on the CPU."""
    with TemporaryDirectory(prefix="wsdl-proof-") as folder:
        subject = _FileUnderTest(_as_file(model, Path(folder)), names)
        in_file = subject.compare(subject.proto, subject.path)
        extended = subject.optimized("extended")
        full = subject.optimized("all")
        comparisons = (in_file, extended, full)
        proofs = [
            Proof(name, a.nbytes, *(round(f.copies[name], 4) if a.nbytes >= SMALL else None for f in comparisons))
            for name, a in subject.stored.items()
        ]
        return Proofs(
            proofs,
            sum(a.nbytes for a in subject.stored.values()),
            in_file.total,
            extended.total,
            full.total,
            subject.packed_bytes(),
            extended.constants,
            tuple(CreatedTensor(name, size, subject.origins_of(name)) for name, size in extended.strangers.items()),
        )


def require_loadable(path: Path) -> None:
    """Load a model as it will be loaded. Raises `Unproved` or `Unloadable`."""
    _load(os.fspath(path), _options("all"))


# -- the model ---------------------------------------------------------------------------------------------------------


def _as_file(model: str | Path | bytes | ModelProto, folder: Path) -> Path:
    if isinstance(model, str | Path):
        return Path(model).resolve()
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


class _FileUnderTest:
    """A model without the values of its weights, and its stored tensors, mapped from their files."""

    def __init__(self, path: Path, names: Sequence[str] | None) -> None:
        self.path = path
        self.proto = structure_of(path)
        self.stored = self._stored(names)
        self._make_recognizable()
        self.places = {
            location: tensor.name
            for tensor in self.proto.graph.initializer
            if tensor.name in self.stored and (location := _external_location(tensor))
        }

    def _stored(self, names: Sequence[str] | None) -> dict[str, Array]:
        if names is None:
            records = next((p.value for p in self.proto.metadata_props if p.key == "wsdl.sharing"), None)
            names = None if records is None else [record["name"] for record in json.loads(records)]
        tensors = [t for t in self.proto.graph.initializer if names is None or t.name in names]
        arrays = {t.name: read_tensor(self.path, t) for t in tensors}
        return {name: a for name, a in arrays.items() if names is not None or a.nbytes >= SMALL}

    def _make_recognizable(self) -> None:
        """Replace tensors that can't be distinguished (zeros, ones, equal values) by random values, on which the
        optimizer's copies don't depend. Tensors beyond `RANDOM` bytes are only identified by their position in the
        file."""
        seen: set[bytes] = set()
        generator = np.random.default_rng(0)
        left = RANDOM
        for tensor in self.proto.graph.initializer:
            array = self.stored.get(tensor.name)
            if array is None or array.nbytes < SMALL or array.dtype.kind not in "fV":
                continue
            sample = array.ravel()[:1024].tobytes()
            if (sample in seen or not is_recognizable(array)) and array.nbytes <= left:
                left -= array.nbytes
                self.stored[tensor.name] = generator.normal(size=array.shape).astype(array.dtype)
                tensor.CopyFrom(numpy_helper.from_array(self.stored[tensor.name], tensor.name))
            seen.add(sample)

    @cached_property
    def folded(self) -> dict[str, frozenset[str]]:
        """The tensors that can be computed when loading, each with the stored tensors that it is computed from."""
        return {name: of & self.stored.keys() for name, of in folded_origins(self.proto.graph).items()}

    @cached_property
    def constants(self) -> set[str]:
        """The tensors that can be computed from constants alone, without those of formulas (`maps_of`)."""
        return {name for name, of in self.folded.items() if not of} - maps_of(self.proto.graph, self.stored)

    def origins_of(self, name: str) -> tuple[str, ...]:
        return tuple(sorted(self.folded.get(name, ())))

    # -- in the runtime ------------------------------------------------------------------------------------------------

    def compare(self, proto: ModelProto, path: Path) -> Comparison:
        """The copies of stored tensors among the constants of a model whose file is `path`."""
        constants: dict[str, int] = {}
        others: list[tuple[str, Array]] = []
        for name, array in self._tensors(proto.graph, path):
            if name in self.constants and proto is not self.proto:
                constants[name] = array.nbytes
            else:
                others.append((name, array))
        found = count_copies(self.stored, others, self.folded)
        found.total, found.constants = found.total + sum(constants.values()), constants
        return found

    def _tensors(self, graph: GraphProto, path: Path) -> Iterator[tuple[str, Array]]:
        """All constant tensors: initializers and `Constant` nodes, in subgraphs too. One that refers to the data of a
        stored tensor is that tensor."""
        for tensor in graph.initializer:
            location = _external_location(tensor)
            if location in self.places:
                yield self.places[location], self.stored[self.places[location]]
            else:  # unchanged tensors still refer to the model's own folder
                yield tensor.name, read_tensor(path if DATA in location else self.path, tensor)
        for node in graph.node:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.HasField("t"):
                    yield node.output[0], numpy_helper.to_array(attribute.t)
            for body in subgraphs(node):
                yield from self._tensors(body, path)

    def optimized(self, level: Level) -> Comparison:
        """The copies after the runtime's optimization."""
        with TemporaryDirectory(prefix="wsdl-proof-") as folder:
            outcome = Path(folder, "optimized.onnx")
            options = _options(level, outcome, self.path.parent)
            options.add_session_config_entry("session.disable_prepacking", "1")
            try:
                _load(self.proto.SerializeToString(), options)
            except Unloadable:  # the result may exceed the limit of one message: then write its data into a file
                options.add_session_config_entry("session.optimized_model_external_initializers_file_name", DATA)
                _load(self.proto.SerializeToString(), options)
            optimized = onnx.load(outcome, load_external_data=False)
            return self.compare(optimized, outcome)

    def packed_bytes(self) -> int:
        """The bytes of the matrices that the runtime prepacks, from the records of a saved model. Only the lengths are
        read, so the data is written to the null device, where there is one."""
        with TemporaryDirectory(prefix="wsdl-proof-") as folder:
            outcome = Path(folder, "optimized.onnx")
            with suppress(OSError, NotImplementedError):
                Path(folder, DATA).symlink_to(os.devnull)
            options = _options("all", outcome, self.path.parent)
            options.add_session_config_entry("session.optimized_model_external_initializers_file_name", DATA)
            options.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
            _load(self.proto.SerializeToString(), options)
            return _lengths_of_packed(onnx.load(outcome, load_external_data=False).graph)


def _external_location(tensor: TensorProto) -> tuple[str, ...]:
    """File, offset and length of external data; empty for tensors in the model itself."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    return tuple(entries.get(key, "") for key in ("location", "offset", "length")) if entries else ()


def _options(level: Level, outcome: Path | None = None, folder: Path | None = None) -> Any:
    """Options of a session that saves the optimized model as `outcome`; `folder` has the files of its weights."""
    try:
        import onnxruntime
    except ImportError as error:
        message = "verifying that weights are stored once requires the package onnxruntime, which is not installed"
        raise CompileError([Diagnostic("E0719", message, help="`pip install onnxruntime`")]) from error

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if level == "all" else levels.ORT_ENABLE_EXTENDED
    if folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.fspath(folder))
    if outcome is not None:
        options.optimized_model_filepath = os.fspath(outcome)
        minimum = "session.optimized_model_external_initializers_min_size_in_bytes"
        options.add_session_config_entry(minimum, str(SMALL))
    return options


def _load(model: bytes | str, options: Any) -> None:
    import onnxruntime

    try:
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of a dozen classes without a common base
        reason = str(error).strip().partition("\n")[0]
        raise (Unproved if _NOT_HERE.search(str(error)) else Unloadable)(reason) from error


def _lengths_of_packed(graph: GraphProto) -> int:
    """The sum of the lengths in the records `prepacked_…` (`kernel|offset;length;checksum|…`), each offset once."""
    lengths: dict[str, int] = {}
    for tensor in _initializers(graph):
        for entry in tensor.external_data:
            for record in entry.value.split("|")[1:] if entry.key.startswith("prepacked") else ():
                offset, length, *_ = record.split(";")
                lengths[offset] = int(length)
    return sum(lengths.values())


def _initializers(graph: GraphProto) -> Iterator[TensorProto]:
    """The initializers of a graph and of all its subgraphs."""
    yield from graph.initializer
    for node in graph.node:
        for body in subgraphs(node):
            yield from _initializers(body)

"""The inventory of a file: of an ONNX model, from WSDL or other tools, or of a weights file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import cast

from onnx import ValueInfoProto

from wsdl.ir.binding import dim_of_text
from wsdl.ir.dims import Dim
from wsdl.ir.inventory import ComputedTensor, Inventory, Signature, Tensor, Use, Way
from wsdl.ir.step import OPTIMIZER
from wsdl.ir.types import FLOATS, DType, TensorType
from wsdl.ir.weight_files import SHARING, WAYS
from wsdl.weights.copies import copies_in
from wsdl.weights.lost_names import recovered_names
from wsdl.weights.metadata import VARIANT
from wsdl.weights.onnx_reads import counted
from wsdl.weights.onnx_source import read_proto, reads_of, source_of
from wsdl.weights.onnx_tensors import OnnxTensors, dtype_name, info_of, tensors_in
from wsdl.weights.open_source import open_source
from wsdl.weights.recorded import computed_parameters, described, described_ways
from wsdl.weights.source import WeightsError, broken


def inventory_of_weights(path: str | os.PathLike[str]) -> Inventory:
    """The inventory of a weights file: which slots read a tensor, and through which ways of sharing, by its metadata
    if WSDL wrote it; otherwise each name of a tensor counts as a use."""
    path = os.fspath(path)
    source = open_source(path)
    names: dict[str, list[str]] = {name: [name] for name in source.tensors if not name.startswith(OPTIMIZER)}
    for alias, name in source.aliases.items():
        names[name].append(alias)
    stored = {n: _tensor(n, source.tensors[n].dtype, source.tensors[n].shape, paths) for n, paths in names.items()}
    shared = _described(path, source.metadata.get(SHARING, "[]"))
    stored |= {n: shared[n] for n, tensor in stored.items() if n in shared and shared[n].type == tensor.type}
    ways = _ways(path, source.metadata.get(WAYS), stored)
    copies = () if SHARING in source.metadata else copies_in(source, stored)
    sets = {at: number for at, number in source.dictionaries.items() if at}
    variant = source.metadata.get(VARIANT, "")
    return Inventory({}, stored, variant, ways, _computed(path, "", stored), copies=copies, sets=sets)


def _tensor(name: str, dtype: str, shape: tuple[int, ...], paths: Iterable[str]) -> Tensor:
    return Tensor(name, dtype, shape, tuple(Use(path, "", prod(shape)) for path in paths))


def inventory_of_onnx(path: str | os.PathLike[str]) -> Inventory:
    """The inventory of an ONNX model: from its metadata if WSDL wrote it, otherwise from the nodes that read its
    tensors, those in branches, loops and functions among them."""
    path = os.fspath(path)
    proto = read_proto(path)
    found = tensors_in(path, proto)
    metadata = {p.key: p.value for p in proto.metadata_props}
    sharing = metadata.get(SHARING)
    stored = _read(path, found) if sharing is None else _described(path, sharing)
    signature = Signature(
        {v.name: _type(v) for v in proto.graph.input if v.name not in found.tensors},
        {v.name: _type(v) for v in proto.graph.output},
        {tensor.name: tuple(use for use in tensor.uses if use.times) for tensor in stored.values()},
    )
    ways = _ways(path, metadata.get(WAYS), stored)
    name = proto.graph.name or Path(path).stem
    computed = _computed(path, name, stored) if sharing is not None else ()
    copies = copies_in(source_of(path, proto), stored) if sharing is None else ()
    return Inventory({name: signature}, stored, metadata.get(VARIANT, ""), ways, computed, copies=copies)


def _described(path: str, metadata: str) -> dict[str, Tensor]:
    """The tensors from the metadata of WSDL."""
    try:
        return described(metadata)
    except ValueError as error:
        raise _changed(path, SHARING) from error


def _ways(path: str, metadata: str | None, stored: Mapping[str, Tensor]) -> tuple[Way, ...]:
    """The ways of sharing by our own metadata."""
    try:
        return described_ways(metadata, stored) if metadata else ()
    except ValueError as error:
        raise _changed(path, WAYS) from error


def _computed(path: str, model: str, stored: Mapping[str, Tensor]) -> tuple[ComputedTensor, ...]:
    """What formulas compute for the model, by our own metadata."""
    uses = [(use, tensor) for tensor in stored.values() for use in tensor.uses if use.formula and use.times]
    parameters = computed_parameters(open_source(path)) if uses else {}
    slots: dict[str, dict[str, None]] = {}  # by the parameter that a formula computes, those that are views of it
    parts: dict[str, dict[str, Tensor]] = {}
    for use, tensor in uses:
        if use.path in parameters:
            first, _ = parameters[use.path]
            slots.setdefault(first, {})[use.path] = None
            parts.setdefault(first, {})[tensor.name] = tensor
    formulas = {use.path: use.formula for use, _ in uses}
    return tuple(
        ComputedTensor(
            tuple(slots[first]),
            formulas[next(iter(slots[first]))],
            next((tensor.dtype for tensor in parts[first].values() if tensor.dtype in FLOATS), "f32"),
            parameters[first][1],
            {name: tensor.bytes for name, tensor in parts[first].items()},
            False,
            (model,),
        )
        for first in dict.fromkeys(first for first, _ in parameters.values())
        if first in slots
    )


def _changed(path: str, key: str) -> WeightsError:
    help = "it was changed after `wsdl` wrote it; without that entry it is read like any other model"
    return broken(path, f"its metadata `{key}` is invalid", help)


# -- models of others --------------------------------------------------------------------------------------------------


def _read(path: str, found: OnnxTensors) -> dict[str, Tensor]:
    """The tensors that are weights, with the nodes that read them; those whose names an exporter has lost with the
    parameters of layers that they are."""
    reads = reads_of(path, found)
    recovered = recovered_names(reads, {*found.tensors, *found.aliases})
    stored: dict[str, Tensor] = {}
    for name in found.weights():
        info, names = info_of(found.tensors[name]), recovered.get(name, {})
        counts: Counter[tuple[str, str]] = Counter()
        for read in reads.get(name, ()):
            one = names.get(read.label)
            counts[(one.name, ".T" if one.transposed else "") if one is not None else (read.label, read.view)] += 1
        uses = [Use(label, view, prod(info.shape), times) for (label, view), times in counts.items()]
        together = counted(reads.get(name, ()), info.shape)
        stored[name] = Tensor(name, info.dtype, info.shape, tuple(uses), renamed=name in recovered, reads=together)
    return stored


def _type(value: ValueInfoProto) -> TensorType:
    """The type of an input or output. An unspecified dimension gets a unique name."""
    tensor = value.type.tensor_type
    dims = [_dim(d.dim_param, d.dim_value, f"{value.name}.{axis}") for axis, d in enumerate(tensor.shape.dim)]
    return TensorType(
        cast(DType, dtype_name(tensor.elem_type)), tuple(dims)
    )  # or a dtype that the language doesn't have


def _dim(name: str, size: int, default: str) -> Dim:
    return dim_of_text(name) if name else Dim.of(size) if size > 0 else dim_of_text(default)

"""What is stored: each stored tensor with the slots that read it, and what each model reads of it.

The same picture is made of a program, of an ONNX file and of a checkpoint, and written as a table or as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Model, Module, Program, Stored, file_path
from wsdl.ir.types import BYTES, TensorType

_WIDTHS: dict[str, int] = dict(BYTES.items()) | {  # of one element, in bytes
    "uint16": 2, "uint32": 4, "uint64": 8, "complex64": 8, "complex128": 16, "U16": 2, "U32": 4, "U64": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Use:
    """A slot that reads a stored tensor: its path, the view (`""` for as it is), its number of elements."""

    path: str
    view: str
    elements: int


@dataclass(frozen=True)
class Tensor:
    """One stored tensor; its dtype may be one that only other tools know."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    uses: tuple[Use, ...]
    trainable: bool = True
    group: str = ""

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def width(self) -> int:
        """The bytes of one element; 1 where that isn't known."""
        return _WIDTHS.get(self.dtype, 1)

    @property
    def bytes(self) -> int:
        return self.elements * self.width


@dataclass(frozen=True)
class Signature:
    """One model: its inputs and outputs, and the names of the tensors that it reads with the slots that read them."""

    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]
    reads: Mapping[str, tuple[Use, ...]]


@dataclass(frozen=True)
class Inventory:
    """`repeats` counts how often a layer is applied, for those that are applied more than once."""

    models: Mapping[str, Signature] = field(default_factory=dict)
    stored: Mapping[str, Tensor] = field(default_factory=dict)
    repeats: Mapping[str, int] = field(default_factory=dict)

    def of_models(self, names: Iterable[str]) -> Inventory:
        """Of some of the models only."""
        models = {name: self.models[name] for name in names}
        read = {tensor for model in models.values() for tensor in model.reads}
        return Inventory(models, {n: tensor for n, tensor in self.stored.items() if n in read}, self.repeats)

    def uses(self, tensor: Tensor) -> tuple[Use, ...]:
        """The slots that read a tensor, once for each model; simply its slots where there are no models."""
        reads = [model.reads[tensor.name] for model in self.models.values() if tensor.name in model.reads]
        return tuple(use for uses in reads for use in uses) if reads else tensor.uses

    def shared(self) -> list[Tensor]:
        """The tensors that are used more than once, within a model or by several."""
        return [tensor for tensor in self.stored.values() if len(self.uses(tensor)) > 1]

    def sizes(self, *models: str) -> Sizes:
        """Of what these models read, by default all; without sharing each model would have tensors of its own."""
        chosen = self.of_models(models) if models else self
        sizes = [(tensor, chosen.uses(tensor)) for tensor in chosen.stored.values()]
        return Sizes(
            sum(tensor.elements for tensor, _ in sizes),
            sum(use.elements for _, uses in sizes for use in uses),
            sum(tensor.bytes for tensor, _ in sizes),
            sum(use.elements * tensor.width for tensor, uses in sizes for use in uses),
        )

    def saved(self, tensor: Tensor) -> int:
        """The bytes that sharing one tensor saves."""
        return sum(use.elements for use in self.uses(tensor)) * tensor.width - tensor.bytes

    def as_json(self) -> dict[str, Any]:
        """`models` and `stored` as scripts rely on them."""
        return {
            "models": {name: _signature(model) | vars(self.sizes(name)) for name, model in self.models.items()},
            "stored": [_tensor(tensor) for tensor in self.stored.values()],
        }


@dataclass(frozen=True)
class Sizes:
    """Elements and bytes, each stored tensor counted once, and each slot counted by itself."""

    parameters: int
    parameters_without_sharing: int
    bytes: int
    bytes_without_sharing: int


def _signature(model: Signature) -> dict[str, Any]:
    return {"inputs": [_io(*item) for item in model.inputs.items()],
            "outputs": [_io(*item) for item in model.outputs.items()]}  # fmt: skip


def _io(name: str, type: TensorType) -> dict[str, Any]:
    return {"name": name, "dtype": type.dtype, "shape": [dim_as_json(dim) for dim in type.shape]}


def dim_as_json(dim: Dim) -> int | str:
    """A number, or a run-time dimension as it is written."""
    return str(dim) if dim.constant is None else dim.constant


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "trainable": tensor.trainable,
        "slots": [{"path": file_path(use.path), "view": use.view} for use in tensor.uses],
    }


# -- of a program ------------------------------------------------------------------------------------------------------


def inventory(program: Program) -> Inventory:
    """What a checked program stores."""
    models = {name: _model(model, program) for name, model in program.models.items()}
    stored = {s.name: _stored(s) for s in program.stored.values() if s.derived is None}
    return Inventory(models, stored, {path: count for root in program.roots() for path, count in _repeats(root)})


def _repeats(module: Module) -> Iterator[tuple[str, int]]:
    """The outermost layers that are applied more than once and own weights."""
    if len(module.uses) > 1 and any(module.all_slots()):
        yield module.path, len(module.uses)
        return
    for child in module.children.values():
        for below in child if isinstance(child, list) else [child]:
            yield from _repeats(below)


def _stored(stored: Stored) -> Tensor:
    return Tensor(stored.name, stored.type.dtype, stored.sizes, _uses(stored), stored.trainable, stored.group)


def _uses(stored: Stored, paths: Iterable[str] | None = None) -> tuple[Use, ...]:
    return tuple(
        Use(slot.path, str(view), prod(slot.sizes))
        for slot, view in stored.slots
        if paths is None or slot.path in paths
    )


def _model(model: Model, program: Program) -> Signature:
    """A model's own slots, and those of layers of the file whose tensors it reads."""
    read = {str(node.attributes["stored"]) for node in model.graph.walk() if node.op == "parameter"}
    paths = {slot.path for slot in model.module.all_slots()}
    paths |= {slot.path for layer in program.layers.values() for slot in layer.all_slots()}
    inputs = {value.name: value.type for value in model.graph.inputs}
    outputs = {n: value.type for n, value in zip(model.output_names, model.graph.outputs, strict=True)}
    return Signature(inputs, outputs, {s.name: _uses(s, paths) for s in program.stored.values() if s.name in read})

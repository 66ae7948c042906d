"""What is stored: each stored tensor with the slots that read it, and what each model reads of it.

The same picture is made of a program, of an ONNX file and of a checkpoint, and written as a table or as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Model, Program, Stored
from wsdl.ir.types import BYTES, DType, TensorType


@dataclass(frozen=True)
class Use:
    """A slot that reads a stored tensor: its path as in files, the view (`""` for as it is), its number of elements."""

    path: str
    view: str
    elements: int


@dataclass(frozen=True)
class Tensor:
    """One stored tensor."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    uses: tuple[Use, ...]
    trainable: bool = True
    group: str = ""

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * BYTES[self.dtype]

    @property
    def is_shared(self) -> bool:
        return len(self.uses) > 1


@dataclass(frozen=True)
class Signature:
    """One model: its inputs and outputs, and the names of the tensors that it reads with the slots that read them."""

    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]
    reads: Mapping[str, tuple[Use, ...]]


@dataclass(frozen=True)
class Inventory:
    models: Mapping[str, Signature] = field(default_factory=dict)
    stored: Mapping[str, Tensor] = field(default_factory=dict)

    def sizes(self, reads: Mapping[str, tuple[Use, ...]] | None = None) -> Sizes:
        """Of what a model reads, or of all that is stored."""
        reads = {t.name: t.uses for t in self.stored.values()} if reads is None else reads
        pairs = [(self.stored[name], uses) for name, uses in reads.items()]
        without = [(tensor, sum(use.elements for use in uses)) for tensor, uses in pairs]
        return Sizes(
            sum(tensor.elements for tensor, _ in pairs),
            sum(elements for _, elements in without),
            sum(tensor.bytes for tensor, _ in pairs),
            sum(elements * BYTES[tensor.dtype] for tensor, elements in without),
        )

    def as_json(self) -> dict[str, Any]:
        """`models` and `stored` as scripts rely on them."""
        return {
            "models": {name: _signature(model) | vars(self.sizes(model.reads)) for name, model in self.models.items()},
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
        "slots": [{"path": use.path, "view": use.view} for use in tensor.uses],
    }


# -- of a program ------------------------------------------------------------------------------------------------------


def inventory(program: Program) -> Inventory:
    """What a checked program stores."""
    models = {name: _model(model, program) for name, model in program.models.items()}
    return Inventory(models, {s.name: _stored(s) for s in program.stored.values() if s.derived is None})


def _stored(stored: Stored) -> Tensor:
    return Tensor(stored.name, stored.type.dtype, stored.sizes, _uses(stored), stored.trainable, stored.group)


def _uses(stored: Stored, paths: Iterable[str] | None = None) -> tuple[Use, ...]:
    return tuple(
        Use(slot.file_path, str(view), prod(slot.sizes))
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

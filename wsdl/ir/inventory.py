"""The inventory of stored tensors, with the slots that read them and the number of reads of each model.

It can be computed for a program, an ONNX file and a checkpoint, and written as a table or as JSON. All figures about
sharing come from here: `used` is a number of reads (defined in `wsdl.sharing.count_reads`), and "without sharing" is
what the same network would store if each read had a separate tensor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Model, Reads, Slot, Stored, file_path, with_indices
from wsdl.ir.ranges import compact
from wsdl.ir.roles import Roles, roles
from wsdl.ir.stages import SharedAs, Storage
from wsdl.ir.types import BYTES, TensorType, shape_text

_WIDTHS: dict[str, int] = dict(BYTES.items()) | {  # of one element, in bytes
    "uint16": 2, "uint32": 4, "uint64": 8, "complex64": 8, "complex128": 16, "U16": 2, "U32": 4, "U64": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Use:
    """A slot of a stored tensor: its path, the view through which it reads (`""` for as it is), how often it is read,
    and how many elements in all; and the formula, where it is computed from the tensor by one. Its elements count for
    one of the tensors in a formula."""

    path: str
    view: str
    elements: int
    times: int = 1
    formula: str = ""


@dataclass(frozen=True)
class Tensor:
    """One stored tensor with its slots; its dtype may be one that only other tools know. If it is `renamed`, an
    exporter has lost its name, and the slots are the parameters that it probably was. In a file of others, where nodes
    may read parts, `reads` counts those of all slots together: each element as often as it is read."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    uses: tuple[Use, ...]
    trainable: bool = True
    group: str = ""
    renamed: bool = False
    reads: Reads | None = None

    @property
    def type(self) -> str:
        """`f32[768, 3072]`."""
        return f"{self.dtype}{shape_text(self.shape)}"

    @property
    def path(self) -> str:
        """Its name with indices, as the language writes it, where its slots tell that it is of a program:
        `lm.blocks[0].up.weight`."""
        if self.uses and file_path(self.uses[0].path) == self.name:
            return self.uses[0].path
        return with_indices(self.name) if any(use.formula for use in self.uses) else self.name

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def width(self) -> int:
        """The bytes of one element; 1 if unknown."""
        return _WIDTHS.get(self.dtype, 1)

    @property
    def bytes(self) -> int:
        return self.elements * self.width


@dataclass(frozen=True)
class Way:
    """What is stored for a line `share [NAME] as BLOCK { … }`, or for several if it stands in a `for`.

    `members` are the paths of the layers or parameters that share, with ranges. `shared` and `own` name the tensors of
    all members, and those of one member each.
    """

    block: str  # `Mix(bank=3)`
    name: str  # of the group, "" where it has none
    members: tuple[str, ...]
    shared: tuple[str, ...]
    own: tuple[str, ...]

    @property
    def label(self) -> str:
        """`lm.body as Mix(bank=3)`."""
        return f"{self.name or ', '.join(self.members)} as {self.block}"

    def as_json(self) -> dict[str, Any]:
        lists = {"members": list(self.members), "shared": list(self.shared), "own": list(self.own)}
        return {"block": self.block, "name": self.name, **lists}


@dataclass(frozen=True)
class Signature:
    """One model: its inputs and outputs, the names of the tensors that it reads, with the slots that it reads, and how
    often each layer is applied, by its path."""

    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]
    reads: Mapping[str, tuple[Use, ...]]
    applied: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ComputedTensor:
    """A tensor that a formula computes: the paths of the slots that read it, the text of the formula, the names of the
    stored tensors behind it with their bytes, whether it is `written_out`, so that files hold its value in place of
    these, and the models that read it."""

    slots: tuple[str, ...]
    formula: str
    dtype: str
    shape: tuple[int, ...]
    parts: Mapping[str, int]
    written_out: bool
    models: tuple[str, ...]

    @property
    def bytes_of_parts(self) -> int:
        return sum(self.parts.values())

    @property
    def bytes(self) -> int:
        """The bytes of its value."""
        return prod(self.shape) * _WIDTHS[self.dtype]

    def as_json(self) -> dict[str, Any]:
        return {
            "slots": [file_path(path) for path in self.slots],
            "formula": self.formula,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "stored": list(self.parts),
            "bytes_stored": self.bytes_of_parts,
            "bytes_written_out": self.bytes,
            "written_out": self.written_out,
        }


@dataclass(frozen=True)
class Copies:
    """Tensors of a file that hold the same values, with `.T` behind the names of those that are transposed; and the
    bytes of one."""

    names: tuple[str, ...]
    bytes: int

    @property
    def needless(self) -> int:
        """The bytes of all but one."""
        return (len(self.names) - 1) * self.bytes


@dataclass(frozen=True)
class Inventory:
    """What is stored, and the models that read it, if it is known; `variant` is that of the program, if it is one,
    `ways` its ways of sharing, `computed` the tensors that its formulas compute, `roles` what its trainings do.
    `copies` are tensors that a file of others stores more than once, `sets` the dictionaries of a checkpoint, with the
    number of tensors in each."""

    models: Mapping[str, Signature] = field(default_factory=dict)
    stored: Mapping[str, Tensor] = field(default_factory=dict)
    variant: str = ""
    ways: tuple[Way, ...] = ()
    computed: tuple[ComputedTensor, ...] = ()
    roles: Roles = field(default_factory=Roles)
    copies: tuple[Copies, ...] = ()
    sets: Mapping[str, int] = field(default_factory=dict)

    def signature(self, model: str) -> str:
        """The signature of a model in the syntax of the language."""
        signature = self.models[model]
        ports = (signature.inputs, signature.outputs)
        inputs, outputs = (", ".join(f"{n}: {t}" for n, t in io.items()) for io in ports)
        return f"model {model}({inputs}) -> ({outputs})"

    def of_models(self, names: Iterable[str]) -> Inventory:
        """The inventory of some of the models."""
        models = {name: self.models[name] for name in names}
        read = {tensor for model in models.values() for tensor in model.reads}
        stored = {name: tensor for name, tensor in self.stored.items() if name in read}
        computed = tuple(tensor for tensor in self.computed if not models.keys().isdisjoint(tensor.models))
        ways = ways_of(stored, self.ways)
        return replace(self, models=models, stored=stored, ways=ways, computed=computed)

    def uses(self, tensor: Tensor) -> tuple[Use, ...]:
        """The slots of a tensor that the models read, with the sums of their reads; all slots if there are no
        models."""
        return self._read.get(tensor.name, ()) if self.models else tensor.uses

    @cached_property
    def _read(self) -> dict[str, tuple[Use, ...]]:
        """The reads of all models together, by tensor."""
        read: dict[str, dict[tuple[str, str], Use]] = {}
        for name, use in (
            (name, use) for model in self.models.values() for name, u in model.reads.items() for use in u
        ):
            uses = read.setdefault(name, {})
            other = uses.get((use.path, use.view))
            elements, times = (other.elements, other.times) if other else (0, 0)
            uses[use.path, use.view] = replace(use, elements=use.elements + elements, times=use.times + times)
        return {name: tuple(uses.values()) for name, uses in read.items()}

    def used(self, tensor: Tensor) -> int:
        """The number of reads of a tensor; of the most-read element where nodes read parts."""
        return tensor.reads.times if tensor.reads is not None else sum(use.times for use in self.uses(tensor))

    def shared(self) -> list[Tensor]:
        """The tensors that are read more than once, within a model or by several."""
        return [tensor for tensor in self.stored.values() if self.used(tensor) > 1]

    def tensors(self, way: Way) -> list[Tensor]:
        """What is stored for a way of sharing."""
        return [self.stored[name] for name in (*way.shared, *way.own)]

    def saved_by(self, way: Way) -> int:
        """The bytes that a way of sharing saves; less than 0 where it stores more than a network without sharing."""
        return sum(self.saved(tensor) for tensor in self.tensors(way))

    def repeats(self) -> dict[str, int]:
        """The number of applications of the outermost layers with weights that are applied more than once."""
        applied: Counter[str] = Counter()
        for model in self.models.values():
            applied.update(model.applied)
        owners = {layer for uses in self._read.values() for use in uses for layer in _layers_around(use.path)}
        repeated = [path for path, times in applied.items() if times > 1 and path in owners]
        outermost = [path for path in repeated if not any(applied[layer] > 1 for layer in _layers_around(path))]
        return {path: applied[path] for path in outermost}

    def sizes(self, *models: str) -> Sizes:
        """The sizes of the tensors that these models read, by default of all."""
        chosen = self.of_models(models) if models else self
        tensors = [(tensor, chosen.elements_without_sharing(tensor)) for tensor in chosen.stored.values()]
        return Sizes(
            sum(tensor.elements for tensor, _ in tensors),
            sum(unshared for _, unshared in tensors),
            sum(tensor.bytes for tensor, _ in tensors),
            sum(unshared * tensor.width for tensor, unshared in tensors),
        )

    def elements_without_sharing(self, tensor: Tensor) -> int:
        """The elements that would be stored if each read had a separate tensor. Unread tensors count once, unless they
        belong to a way of sharing."""
        uses = self.uses(tensor)
        if tensor.reads is not None:
            return tensor.reads.elements
        return sum(use.elements for use in uses) if uses or tensor.name in self._of_read_ways else tensor.elements

    @cached_property
    def _of_read_ways(self) -> frozenset[str]:
        """The names of all tensors of the ways of sharing of which any is read."""
        ways = (way for way in self.ways if any(self.uses(tensor) for tensor in self.tensors(way)))
        return frozenset(name for way in ways for name in (*way.shared, *way.own))

    def saved(self, tensor: Tensor) -> int:
        """The bytes that sharing a tensor saves; negative if parts of it are stored but not read."""
        return self.elements_without_sharing(tensor) * tensor.width - tensor.bytes

    def as_json(self) -> dict[str, Any]:
        """`models` and `stored`, in a stable format for scripts."""
        return {
            **({"variant": self.variant} if self.variant else {}),
            "models": {name: _signature(model) | vars(self.sizes(name)) for name, model in self.models.items()},
            "stored": [self._tensor_as_json(tensor) for tensor in self.stored.values()],
            **({"ways": [self._way_as_json(way) for way in self.ways]} if self.ways else {}),
            **({"formulas": [tensor.as_json() for tensor in self.computed]} if self.computed else {}),
            **({"copies": [{"tensors": list(c.names), "bytes": c.bytes} for c in self.copies]} if self.copies else {}),
            **({"sets": dict(self.sets)} if self.sets else {}),
        }

    def _way_as_json(self, way: Way) -> dict[str, Any]:
        stored = sum(tensor.bytes for tensor in self.tensors(way))
        return {**way.as_json(), "bytes": stored, "bytes_without_sharing": stored + self.saved_by(way)}

    def _tensor_as_json(self, tensor: Tensor) -> dict[str, Any]:
        times = {(use.path, use.view): use.times for use in self.uses(tensor)}
        return {
            "name": tensor.name,
            "shape": list(tensor.shape),
            "dtype": tensor.dtype,
            "trainable": tensor.trainable,
            **({"training": dict(role)} if (role := self.roles.of_tensors.get(tensor.name)) else {}),
            "used": self.used(tensor),
            "bytes": tensor.bytes,
            "bytes_without_sharing": self.elements_without_sharing(tensor) * tensor.width,
            "slots": [
                {"path": file_path(use.path), "view": use.view, "used": times.get((use.path, use.view), 0)}
                | ({"formula": use.formula} if use.formula else {})
                for use in tensor.uses
            ],
        }


@dataclass(frozen=True)
class Sizes:
    """Elements and bytes: with each stored tensor counted once, and with each read counted."""

    parameters: int
    parameters_without_sharing: int
    bytes: int
    bytes_without_sharing: int


def _signature(model: Signature) -> dict[str, Any]:
    return {"inputs": [_io(*item) for item in model.inputs.items()],
            "outputs": [_io(*item) for item in model.outputs.items()]}  # fmt: skip


def _io(name: str, type: TensorType) -> dict[str, Any]:
    return {"name": name, **type.as_json()}


# -- of a program ------------------------------------------------------------------------------------------------------


def inventory(storage: Storage, io: Callable[[TensorType], TensorType] = lambda type: type) -> Inventory:
    """The inventory of a program; `io` maps the declared types of inputs and outputs to those in the file."""
    models = {name: _model(model, storage, io) for name, model in storage.models.items()}
    stored = {name: _stored(stored, storage) for name, stored in storage.stored.items()}
    return Inventory(models, stored, storage.checked.variant, ways(storage), roles=roles(storage))


def ways(storage: Storage) -> tuple[Way, ...]:
    """The ways of sharing of a program, one for each line."""
    lines: dict[Span, list[SharedAs]] = {}
    for way in storage.ways:
        lines.setdefault(way.request.way.span, []).append(way)
    return tuple(_way(span, resolved) for span, resolved in lines.items())


def _way(span: Span, resolved: Sequence[SharedAs]) -> Way:
    names = compact(dict.fromkeys(way.request.group.name for way in resolved))
    members = compact(dict.fromkeys(path for way in resolved for path in way.members))
    shared = dict.fromkeys(name for way in resolved for name in way.shared)
    own = dict.fromkeys(name for way in resolved for name in way.own)
    return Way(" ".join(span.text.split()), ", ".join(names), tuple(members), tuple(shared), tuple(own))


def ways_of(stored: Collection[str], ways: Iterable[Way]) -> tuple[Way, ...]:
    """The ways of sharing for which some of these tensors are stored, and those of them alone."""

    def kept(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if name in stored)

    of_stored = (replace(way, shared=kept(way.shared), own=kept(way.own)) for way in ways)
    return tuple(way for way in of_stored if way.shared or way.own)


def _layers_around(path: str) -> Iterator[str]:
    """The paths of the layers around a layer or a parameter."""
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def _stored(stored: Stored, storage: Storage) -> Tensor:
    slots = storage.readers[stored.name]
    uses = tuple(_use(slot, stored, storage, prod(slot.sizes), 1) for slot in slots)
    return Tensor(stored.name, stored.type.dtype, stored.sizes, uses, stored.trainable, stored.group)


def _model(model: Model, storage: Storage, io: Callable[[TensorType], TensorType]) -> Signature:
    inputs = {value.name: io(value.type) for value in model.graph.inputs}
    outputs = {name: io(type) for name, type in model.output_types.items()}
    read = dict.fromkeys(name for slot in model.reads for name in storage.readings[slot].tensors)
    return Signature(inputs, outputs, {name: _uses(name, model, storage) for name in read}, model.applied)


def _uses(stored: str, model: Model, storage: Storage) -> tuple[Use, ...]:
    """The slots of a tensor that a model reads."""
    read = [(slot, model.reads[slot.path]) for slot in storage.readers[stored] if slot.path in model.reads]
    return tuple(_use(slot, storage.stored[stored], storage, reads.elements, reads.times) for slot, reads in read)


def _use(slot: Slot, stored: Stored, storage: Storage, elements: int, times: int) -> Use:
    computed = next((c for c in stored.computed if c.slot is slot), None)
    if computed is None:
        return Use(slot.path, str(storage.readings[slot.path]), elements, times)
    return Use(slot.path, "", elements if computed.counted else 0, times, computed.formula)

"""What PyTorch puts into a pickle: tensors as views of storages, and the names of dictionaries that hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from wsdl.diagnostics import limits
from wsdl.ir.types import BYTES, DType
from wsdl.ir.weight_files import TensorInfo, are_sizes
from wsdl.weights.pickled import Functions, Global, InvalidPickle, Object

# The classes of storages and the names of dtypes, with what the language calls them; those that it doesn't have, with
# the bytes of one element.
_DTYPES: dict[str, DType] = {
    "float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64", "half": "f16", "float": "f32",
    "double": "f64", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "short": "i16", "int": "i32",
    "long": "i64", "uint8": "u8", "bool": "bool",
}  # fmt: skip
_FOREIGN = {
    "uint16": 2, "uint32": 4, "uint64": 8, "complex32": 4, "complex64": 8, "complex128": 16, "float8_e4m3fn": 1,
    "float8_e5m2": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1, "qint8": 1, "quint8": 1, "qint32": 4, "quint4x2": 1,
    "quint2x4": 1,
}  # fmt: skip
_STORAGES = {
    "HalfStorage": "float16", "BFloat16Storage": "bfloat16", "FloatStorage": "float32", "DoubleStorage": "float64",
    "CharStorage": "int8", "ShortStorage": "int16", "IntStorage": "int32", "LongStorage": "int64",
    "ByteStorage": "uint8", "BoolStorage": "bool", "UntypedStorage": "uint8", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "QInt8Storage": "qint8", "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32", "QUInt4x2Storage": "quint4x2", "QUInt2x4Storage": "quint2x4",
}  # fmt: skip


@dataclass(frozen=True)
class Storage:
    """The bytes `key` of a file, as PyTorch's `dtype`; `first` is the element at which it begins there. The bytes of an
    array of NumPy are in the pickle, `content`."""

    key: str
    dtype: str
    elements: int
    first: int = 0
    content: bytes | None = None

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return width_of(self.dtype)


def width_of(dtype: str) -> int:
    """The bytes of an element of a dtype of PyTorch."""
    known = _DTYPES.get(dtype)
    return BYTES[known] if known else _FOREIGN[dtype]


@dataclass(frozen=True)
class Tensor:
    """A view of a storage: sizes and strides in elements, from the element `offset` on. If `what` isn't empty it is a
    tensor of a kind that can't be read, such as a sparse one."""

    storage: Storage | None
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    what: str = ""

    @property
    def info(self) -> TensorInfo:
        return TensorInfo(self.what or _DTYPES.get(self.dtype, self.dtype), self.shape)

    @property
    def last(self) -> int:
        """The last element of the storage that is read; -1 if none is."""
        if 0 in self.shape:
            return -1
        return self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))

    @property
    def is_contiguous(self) -> bool:
        expected = 1
        for n, stride in zip(self.shape[::-1], self.strides[::-1], strict=True):
            if n != 1 and stride != expected:
                return False
            expected *= n
        return True


def stored(id: Any) -> Storage | Global:
    """The storage with a persistent id: `("storage", class, key, device, elements)`, before PyTorch 1.6 with the key,
    first element and elements of a view; or the class of `("module", class, file, source)`."""
    if id[0] == "module" and isinstance(id[1], Global):
        return id[1]
    kind, of, key, _, elements, *view = id
    if not (kind == "storage" and isinstance(of, Global) and isinstance(key, str) and _is_size(elements)):
        raise InvalidPickle("the pickle names something stored elsewhere that isn't a storage")
    if of.name not in _STORAGES:
        raise InvalidPickle(f"a storage of the unknown class {of}")
    first = view[0][1] if view and view[0] is not None else 0
    if not _is_size(first):
        raise InvalidPickle("a storage begins at an invalid element")
    return Storage(key, _STORAGES[of.name], elements, first)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < limits.DIMENSION


# -- the functions that a pickle may name ------------------------------------------------------------------------------


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Tensor:
    return _checked(storage, storage.dtype, offset, shape, strides)


def _tensor_of_bytes(
    storage: Any, offset: Any, shape: Any, strides: Any, gradient: Any, hooks: Any, dtype: Any, *rest: Any
) -> Tensor:
    """`_rebuild_tensor_v3`, where the storage has bytes and the tensor a dtype."""
    name = dtype.name if isinstance(dtype, Global) else ""
    if name not in _DTYPES and name not in _FOREIGN:
        raise InvalidPickle("a tensor of an unknown dtype")
    return _checked(storage, name, offset, shape, strides)


def _checked(storage: Any, dtype: str, offset: Any, shape: Any, strides: Any) -> Tensor:
    if not isinstance(storage, Storage):
        raise InvalidPickle("a tensor without a storage")
    if not (are_sizes(shape) and are_sizes(strides) and len(shape) == len(strides) and _is_size(offset)):
        raise InvalidPickle("a tensor with invalid sizes, strides or offset")
    tensor = Tensor(storage, dtype, offset, tuple(shape), tuple(strides))
    if (tensor.last + 1) * width_of(dtype) > storage.elements * storage.width:
        raise InvalidPickle(f"a tensor ends after the end of its storage, {storage.elements} elements")
    return tensor


def _parameter(data: Any, *rest: Any) -> Any:
    return data


def _subclass(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A tensor with attributes, or of a subclass: the tensor."""
    name = str(function) if isinstance(function, Global) else ""
    if name.startswith("torch._utils.") and name in FUNCTIONS and isinstance(arguments, tuple):
        return FUNCTIONS[name](*arguments)
    return Object(function, arguments)


def _quantized(storage: Any, offset: Any, shape: Any, *rest: Any) -> Tensor:
    return _unreadable("quantized", shape)


def _sparse(layout: Any, data: Any, *rest: Any) -> Tensor:
    return _unreadable("sparse", data[2])


def _without_data(dtype: Any, shape: Any, *rest: Any) -> Tensor:
    return _unreadable("meta", shape)


def _unreadable(what: str, shape: Any) -> Tensor:
    if not are_sizes(shape):
        raise InvalidPickle("a tensor with invalid sizes")
    return Tensor(None, what, 0, tuple(shape), (), what)


def _dictionary(*arguments: Any) -> dict[Any, Any]:
    """An `OrderedDict`, `defaultdict` or `Counter`, empty or with its pairs."""
    pairs = arguments[0] if arguments else []
    if isinstance(pairs, dict):
        return dict(pairs)
    if isinstance(pairs, list):
        return {pair[0]: pair[1] for pair in pairs if isinstance(pair[0], str)}
    return {}


def _first(value: Any = (), *rest: Any) -> Any:
    return value


def _no_bytes() -> bytes:
    return b""


def _encoded(text: str, encoding: Any = "") -> bytes:
    return text.encode("latin-1")  # how pickles of protocol 2 write bytes


FUNCTIONS: Functions = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_bytes,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "torch._utils._rebuild_qtensor": _quantized,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_meta_tensor_no_storage": _without_data,
    "torch.Size": _first,
    "collections.OrderedDict": _dictionary,
    "collections.defaultdict": _dictionary,
    "collections.Counter": _dictionary,
    "builtins.set": _first,
    "__builtin__.set": _first,
    "builtins.bytes": _no_bytes,
    "__builtin__.bytes": _no_bytes,
    "_codecs.encode": _encoded,
}


# -- arrays of NumPy ---------------------------------------------------------------------------------------------------

_KINDS = {
    "f2": "float16", "f4": "float32", "f8": "float64", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64",
    "u1": "uint8", "b1": "bool", "u2": "uint16", "u4": "uint32", "u8": "uint64", "c8": "complex64", "c16": "complex128",
}  # fmt: skip


def _array(value: Object) -> Tensor | None:
    """An array of NumPy as a tensor; `None` for other objects, and for arrays of objects."""
    name = str(value.of).replace("numpy._core.", "numpy.core.") if isinstance(value.of, Global) else ""
    content = dtype = shape = None
    fortran: Any = False
    match name, value.state, value.arguments:
        case "numpy.core.multiarray._reconstruct", (_, shape, dtype, fortran, content), _:
            pass
        case "numpy.core.numeric._frombuffer", _, (content, dtype, shape, order):
            fortran = order == "F"
    match content, dtype:
        case bytes() | bytearray(), Object(arguments=(str(kind), *_), state=(_, str(order), *_)):
            return _tensor_of_array(bytes(content), f"{order}{kind}", shape, bool(fortran))
    return None


def _tensor_of_array(content: bytes, dtype: str, shape: Any, fortran: bool) -> Tensor:
    """A tensor whose bytes are in the pickle; `dtype` is NumPy's, such as `<f4`."""
    if not are_sizes(shape):
        raise InvalidPickle("an array with invalid sizes")
    known = _KINDS.get(dtype.lstrip("<|="))
    if known is None:
        return _unreadable(f"NumPy {dtype}", shape)
    strides, step = [0] * len(shape), 1
    for axis in range(len(shape)) if fortran else reversed(range(len(shape))):
        strides[axis], step = step, step * shape[axis]
    storage = Storage("", known, len(content) // width_of(known), content=content)
    return _checked(storage, known, 0, shape, tuple(strides))


# -- names of tensors --------------------------------------------------------------------------------------------------


@dataclass
class Named:
    """The tensors below a value by name, joined by dots. `sets` are the paths that hold a set of weights each, with the
    number of tensors; `classes` are those of which the pickle has objects."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    sets: dict[str, int] = field(default_factory=dict)
    classes: dict[str, None] = field(default_factory=dict)


def named(root: Any) -> Named:
    """The tensors of a checkpoint: in dictionaries, lists, and the state of objects."""
    found = Named()
    containers = values = 0
    # Values with their paths, the path of the set that they are in, and the containers around them.
    stack: list[tuple[Any, str, str | None, tuple[Any, ...]]] = [(root, "", None, ())]
    while stack:
        value, path, owner, above = stack.pop()
        if isinstance(value, Tensor):
            if path in found.tensors:
                raise InvalidPickle(f"two tensors have the name `{path}`")
            found.tensors[path or "tensor"] = value
            if owner is not None:
                found.sets[owner] = found.sets.get(owner, 0) + 1
            continue
        if any(value is container for container in above):
            continue  # an object that refers to one around it
        if isinstance(value, Object):
            found.classes[_class_of(value)] = None
        containers += 1
        below = []
        for name, child in _children(value):
            values += 1
            if max(containers, len(found.tensors)) > limits.SLOTS or values > limits.PICKLE_STEPS:
                raise InvalidPickle(f"more than {limits.SLOTS:,} dictionaries, objects or tensors")
            if len(path) + len(name) > limits.PATH:
                raise InvalidPickle(f"a name has more than {limits.PATH:,} characters")
            if isinstance(child, CONTAINERS):
                below.append((name, child))
        if len(above) == limits.DEPTH and below:
            raise InvalidPickle(f"more than {limits.DEPTH} dictionaries and objects in each other")
        if owner is None and _is_set(value, [child for _, child in below]):
            owner = path
        inside = (*above, value)
        for name, child in reversed(below):
            stack.append((child, f"{path}.{name}" if path and name else path or name, owner, inside))
    return found


CONTAINERS = (Tensor, Object, dict, list, tuple)


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    """The names and values in a container; of a module of PyTorch those that its state dict has."""
    if isinstance(value, dict):
        for place, (key, child) in enumerate(value.items()):
            yield (str(key) if isinstance(key, str) or _is_size(key) else f"({place})"), child
    elif isinstance(value, list | tuple):
        for place, child in enumerate(value):
            yield str(place), child
    elif isinstance(value, Object):
        if (array := _array(value)) is not None:
            yield "", array
            return
        yield from _children(value.entries)
        yield from _children(value.items)
        if isinstance(value.state, dict) and "_modules" in value.state:
            for part in ("_parameters", "_buffers", "_modules"):
                yield from _children(value.state.get(part))
        elif isinstance(value.state, dict):
            yield from _children(value.state)
        else:
            yield from (("", part) for part in value.state or () if isinstance(part, dict))
        if value.state is None and any(isinstance(a, Tensor | Storage) for a in _arguments(value)):
            yield "", _unreadable(_class_of(value), ())


def _class_of(value: Object) -> str:
    return str(value.of) if isinstance(value.of, Global) else "computed"


def _arguments(value: Object) -> tuple[Any, ...]:
    return value.arguments if isinstance(value.arguments, tuple) else ()


def _is_set(value: Any, children: list[Any]) -> bool:
    """Whether the tensors below a container belong together: some are in it itself, it is numbered, or it is an object.
    Scalars, such as the number of steps so far, don't make it one."""
    if isinstance(value, Object | list | tuple):
        return True
    if isinstance(value, dict) and any(isinstance(key, int) for key in value):
        return True
    return any(isinstance(child, Tensor) and child.shape for child in children)

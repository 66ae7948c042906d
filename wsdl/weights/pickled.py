"""Reads pickles as data: a machine for their opcodes that builds values and can't import, call or look up anything.

The opcodes are those of Python's `pickletools`, protocols 0 to 5. What a pickle would import is a `Global`, which is
only a name; what it would call or create is an `Object`, which only holds what would be passed. A caller may give
functions for some names: they are the only ones that run, and get values of this module. Time and memory are bounded by
the length of the pickle. Why this is not a restricted `pickle.Unpickler`: `docs/decisions/0060-pickles-as-data.md`.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, TypeAlias, cast

from wsdl.diagnostics import limits

KEYS = (str, int, float, bytes, type(None))  # of dictionaries; bool is an int


class InvalidPickle(ValueError):
    """Bytes that aren't a pickle, or one beyond the limits."""


@dataclass(frozen=True)
class Global:
    """The name of something in a Python module."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Object:
    """What a pickle would create by calling `of` with `arguments`, its state, and what it would append or set."""

    of: Any
    arguments: Any = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)
    entries: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class OtherKey:
    """The key of a dictionary that is neither text nor a number."""

    key: Any


Functions: TypeAlias = Mapping[str, Callable[..., Any]]


def read_pickle(file: BinaryIO, functions: Functions, persistent: Callable[[Any], Any]) -> Any:
    """The value of the pickle at the position of `file`, which is behind the pickle afterwards.

    `functions` are called for the globals with these names, as the pickle asks, and `persistent` for the ids of what is
    stored elsewhere; they get values of this module, and may raise `InvalidPickle`. It is also raised if the pickle is
    damaged or exceeds a limit.
    """
    machine = _Machine(functions, persistent)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in texts of protocol 0
            for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(BinaryIO, _Bounded(file)))):
                if count > limits.PICKLE_STEPS:
                    raise InvalidPickle(f"more than {limits.PICKLE_STEPS:,} steps")
                step = _STEPS.get(opcode.name)
                if step is None:
                    raise InvalidPickle(f"the opcode {opcode.name} isn't supported")
                step(machine, argument)
        return machine.result
    except InvalidPickle:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, struct.error) as error:
        raise InvalidPickle("the pickle is damaged") from error


class _Bounded:
    """Reads at most `limits.PICKLE` bytes of a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, limits.PICKLE

    def read(self, size: int) -> bytes:
        self._spend(size)
        return self._file.read(size)

    def readline(self) -> bytes:
        line = self._file.readline(self._left + 1)
        self._spend(len(line))
        return line

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise InvalidPickle(f"more than {limits.PICKLE:,} bytes without the tensors")


class _Machine:
    """The stack and the memo of a pickle. `marks` are the heights of the stack at the open marks."""

    def __init__(self, functions: Functions, persistent: Callable[[Any], Any]) -> None:
        self.functions, self.persistent = functions, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.result: Any = None

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise InvalidPickle("the pickle is damaged")
        return self.stack.pop()

    def pop_many(self, number: int) -> list[Any]:
        return [self.pop() for _ in range(number)][::-1]

    def pop_to_mark(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def call(self, of: Any, arguments: Any) -> None:
        function = self.functions.get(str(of)) if isinstance(of, Global) else None
        self.push(Object(of, arguments) if function is None else function(*_tuple(arguments)))


def _tuple(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        raise InvalidPickle("arguments that aren't a tuple")
    return value


def _pairs(values: list[Any]) -> dict[Any, Any]:
    if len(values) % 2:
        raise InvalidPickle("a key without a value")
    return dict(zip(map(_key, values[::2]), values[1::2], strict=True))


def _key(value: Any) -> Any:
    return value if isinstance(value, KEYS) else OtherKey(value)


# -- steps -------------------------------------------------------------------------------------------------------------


def _push(machine: _Machine, argument: Any) -> None:
    machine.push(argument)


def _constant(value: Any, machine: _Machine, argument: Any) -> None:
    machine.push(value)


def _new(kind: Callable[[], Any], machine: _Machine, argument: Any) -> None:
    machine.push(kind())


def _collected(kind: Callable[[list[Any]], Any], machine: _Machine, argument: Any) -> None:
    machine.push(kind(machine.pop_to_mark()))


def _tuple_of(size: int, machine: _Machine, argument: Any) -> None:
    machine.push(tuple(machine.pop_many(size)))


def _nothing(machine: _Machine, argument: Any) -> None:
    pass


def _mark(machine: _Machine, argument: Any) -> None:
    machine.marks.append(len(machine.stack))


def _pop(machine: _Machine, argument: Any) -> None:
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.pop()


def _pop_mark(machine: _Machine, argument: Any) -> None:
    machine.pop_to_mark()


def _dup(machine: _Machine, argument: Any) -> None:
    machine.push(machine.stack[-1])


def _put(machine: _Machine, argument: Any) -> None:
    machine.memo[len(machine.memo) if argument is None else argument] = machine.stack[-1]


def _get(machine: _Machine, argument: Any) -> None:
    machine.push(machine.memo[argument])


def _append(machine: _Machine, argument: Any) -> None:
    _extend(machine, machine.pop_many(1))


def _appends(machine: _Machine, argument: Any) -> None:
    _extend(machine, machine.pop_to_mark())


def _extend(machine: _Machine, values: list[Any]) -> None:
    target = machine.stack[-1]
    items = target.items if isinstance(target, Object) else target
    if not isinstance(items, list):
        raise InvalidPickle("the pickle is damaged")
    items.extend(values)


def _set_item(machine: _Machine, argument: Any) -> None:
    _set(machine, machine.pop_many(2))


def _set_items(machine: _Machine, argument: Any) -> None:
    _set(machine, machine.pop_to_mark())


def _set(machine: _Machine, values: list[Any]) -> None:
    target = machine.stack[-1]
    entries = target.entries if isinstance(target, Object) else target
    if not isinstance(entries, dict):
        raise InvalidPickle("the pickle is damaged")
    entries.update(_pairs(values))


def _global(machine: _Machine, argument: Any) -> None:
    machine.push(Global(*argument.split(" ", 1)))


def _stack_global(machine: _Machine, argument: Any) -> None:
    module, name = machine.pop_many(2)
    if not (isinstance(module, str) and isinstance(name, str)):
        raise InvalidPickle("the pickle is damaged")
    machine.push(Global(module, name))


def _reduce(machine: _Machine, argument: Any) -> None:
    machine.call(*machine.pop_many(2))


def _new_with_names(machine: _Machine, argument: Any) -> None:
    of, arguments, named = machine.pop_many(3)
    machine.push(Object(of, (*_tuple(arguments), named)))


def _instance(machine: _Machine, argument: Any) -> None:
    machine.push(Object(Global(*argument.split(" ", 1)), tuple(machine.pop_to_mark())))


def _object(machine: _Machine, argument: Any) -> None:
    of, *arguments = machine.pop_to_mark()
    machine.push(Object(of, tuple(arguments)))


def _build(machine: _Machine, argument: Any) -> None:
    """The state of an object. Dictionaries and lists have none that matters."""
    state = machine.pop()
    if isinstance(machine.stack[-1], Object):
        machine.stack[-1].state = state


def _persistent(machine: _Machine, argument: Any) -> None:
    machine.push(machine.persistent(argument if argument is not None else machine.pop()))


def _stop(machine: _Machine, argument: Any) -> None:
    machine.result = machine.pop()


Step: TypeAlias = Callable[[_Machine, Any], None]
_VALUES = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE",
    "BINUNICODE", "BINUNICODE8",
)  # fmt: skip
_STEPS: dict[str, Step] = {
    **dict.fromkeys(_VALUES, _push),
    "NONE": partial(_constant, None), "NEWTRUE": partial(_constant, True), "NEWFALSE": partial(_constant, False),
    "EMPTY_TUPLE": partial(_constant, ()), "EMPTY_LIST": partial(_new, list), "EMPTY_DICT": partial(_new, dict),
    "EMPTY_SET": partial(_new, list), "ADDITEMS": _appends,
    "TUPLE": partial(_collected, tuple), "LIST": partial(_collected, list), "DICT": partial(_collected, _pairs),
    "FROZENSET": partial(_collected, list),
    "TUPLE1": partial(_tuple_of, 1), "TUPLE2": partial(_tuple_of, 2), "TUPLE3": partial(_tuple_of, 3),
    "MARK": _mark, "POP": _pop, "POP_MARK": _pop_mark, "DUP": _dup,
    "PUT": _put, "BINPUT": _put, "LONG_BINPUT": _put, "MEMOIZE": _put, "GET": _get, "BINGET": _get, "LONG_BINGET": _get,
    "APPEND": _append, "APPENDS": _appends, "SETITEM": _set_item, "SETITEMS": _set_items,
    "GLOBAL": _global, "STACK_GLOBAL": _stack_global, "REDUCE": _reduce, "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_with_names, "INST": _instance, "OBJ": _object, "BUILD": _build,
    "PERSID": _persistent, "BINPERSID": _persistent, "PROTO": _nothing, "FRAME": _nothing, "STOP": _stop,
}  # fmt: skip

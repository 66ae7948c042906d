"""Files of PyTorch, written opcode by opcode: whole ones, and those that lie or would do harm."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from typing import Any

import numpy as np

from tests.robustness.damage import WEIGHTS, written

STOP = b"."
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the number at the start of a file before PyTorch 1.6


def plain(value: Any) -> bytes:
    """Opcodes that push numbers, texts, and lists, tuples and dictionaries of them."""
    return pickle.dumps(value, 2)[2:-1]


def name(module: str, of: str) -> bytes:
    return f"c{module}\n{of}\n".encode()


def call(module: str, of: str, *arguments: bytes) -> bytes:
    return name(module, of) + b"(" + b"".join(arguments) + b"tR"


def storage(key: str, elements: Any, kind: str = "FloatStorage", more: bytes = b"") -> bytes:
    return b"(" + plain("storage") + name("torch", kind) + plain(key) + plain("cpu") + plain(elements) + more + b"tQ"


def tensor(
    key: str = "0",
    shape: Any = (3, 4),
    strides: Any = (4, 1),
    offset: Any = 0,
    elements: Any = 12,
    kind: str = "FloatStorage",
) -> bytes:
    hooks = call("collections", "OrderedDict")
    parts = (storage(key, elements, kind), plain(offset), plain(shape), plain(strides), plain(False), hooks)
    return call("torch._utils", "_rebuild_tensor_v2", *parts)


def bias(**changes: Any) -> bytes:
    return tensor(**{"key": "1", "shape": (3,), "strides": (1,), "elements": 3, **changes})


def dictionary(values: dict[str, bytes]) -> bytes:
    return b"}(" + b"".join(plain(key) + value for key, value in values.items()) + b"u"


def state(weight: bytes | None = None, **more: bytes) -> bytes:
    """The dictionary of the weights, without the end of the pickle."""
    whole = {"m.dense.weight": tensor() if weight is None else weight, "m.dense.bias": bias()}
    return dictionary({**whole, **more})


def array(content: bytes, shape: Any = (3, 4), dtype: str = "f4") -> bytes:
    """An array of NumPy, whose bytes are in the pickle."""
    kind = call("numpy", "dtype", plain(dtype), plain(False), plain(True)) + b"(" + plain(3) + plain("<") + b"tb"
    made = call("numpy.core.multiarray", "_reconstruct", name("numpy", "ndarray"), plain((0,)), plain("b"))
    data = b"B" + struct.pack("<I", len(content)) + content
    return made + b"(" + plain(1) + plain(shape) + kind + plain(False) + data + b"tb"


STORED = {str(i): array.tobytes() for i, array in enumerate(WEIGHTS.values())}


def archive(content: bytes, stored: dict[str, bytes] = STORED, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A file of PyTorch with this pickle, which needs no STOP."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        zipped.writestr("w/data.pkl", b"\x80\x02" + content + STOP)
        for key, value in {**{f"data/{k}": v for k, v in stored.items()}, "version": b"3\n"}.items():
            zipped.writestr(f"w/{key}", value)
    return file.getvalue()


def sequence(content: bytes, stored: dict[str, bytes] = STORED) -> bytes:
    """The same as before PyTorch 1.6."""
    values = [plain(1001), plain({"little_endian": True}), content, plain(list(stored))]
    pickles = b"".join(b"\x80\x02" + value + STOP for value in values)
    return LEGACY + pickles + b"".join(struct.pack("<q", len(data) // 4) + data for data in stored.values())


WHOLE = archive(state())
OLD = sequence(state())
HARMFUL = {
    "os.mkdir": call("os", "mkdir", plain("ran")),
    "builtins.exec": call("builtins", "exec", plain("import os; os.mkdir('ran')")),
    "an import": name("antigravity", "geohash"),
    "an object with a state": b"c__main__\nConfig\n)\x81" + plain({"a": 1, "__class__": 2}) + b"b",
    "an object of protocol 0": b"(" + plain("ran") + b"ios\nmkdir\n",
    "a function of a function": name("builtins", "getattr") + b"(" + name("os", "path") + plain("x") + b"tR" + b")R",
    "an attribute of a class": b"c__main__\nConfig\n" + plain({"a": 1}) + b"b",
    "a cycle": b"]q\x07h\x07a",
    "a text of protocol 0": b"S'\\1\\8\\q'\n",
    "a set": b"\x8f(" + plain(1) + plain("a") + b"\x90",
    "keys of all kinds": b"}(" + plain((1, 2)) + plain(1) + name("os", "path") + plain(2) + b"u",
}  # values beside the tensors that a reader of pickles would import, call or fall into
LIES = {
    "a size beyond the storage": state(tensor(shape=(3, 5))),
    "strides beyond the storage": state(tensor(strides=(5, 1))),
    "an offset beyond the storage": state(tensor(offset=1)),
    "a negative offset": state(tensor(offset=-1)),
    "a negative size": state(tensor(shape=(-3, 4))),
    "a negative stride": state(tensor(strides=(-4, 1))),
    "a size that is text": state(tensor(shape=("3", 4))),
    "a size with a fraction": state(tensor(shape=(3.0, 4))),
    "sizes of 2^62": state(tensor(shape=(2**62, 2**62), strides=(0, 0))),
    "sizes without end": state(tensor(shape=(1,) * 100_000, strides=(1,) * 100_000)),
    "one stride too few": state(tensor(strides=(1,))),
    "a storage longer than its bytes": state(tensor(elements=2**40, shape=(2**40,), strides=(1,))),
    "a storage of a negative size": state(tensor(elements=-12)),
    "a storage of wider elements": state(tensor(kind="DoubleStorage")),
    "a storage of nobody": state(tensor(kind="system")),
    "a storage that is not there": state(tensor(key="7")),
    "a storage outside of the archive": state(tensor(key="../../etc/passwd")),
    "a tensor without a storage": state(call("torch._utils", "_rebuild_tensor_v2", *map(plain, (1, 0, (), ())))),
    "an id that is no storage": state(plain(("module", 1)) + b"Q"),
    "too few arguments": state(call("torch._utils", "_rebuild_tensor_v2", storage("0", 12))),
    "one name twice": state() + b"(" + plain("m") + dictionary({"dense.bias": bias()}) + b"u",
    "values below the stack": b"0" + state(),
    "a mark that nobody set": b"t" + state(),
    "what was never remembered": b"h\x09" + state(),
    "an unknown opcode": b"\xff" + state(),
    "an extension of the interpreter": b"\x82\x01" + state(),
    "a text of 2^62 bytes": b"\x8d" + struct.pack("<Q", 2**62) + state(),
    "a text of 2^31 bytes": b"X" + struct.pack("<I", 2**31) + state(),
    "bytes of 2^40": b"\x96" + struct.pack("<Q", 2**40) + state(),
    "a number of a million digits": b"I" + b"9" * 1_000_000 + b"\n" + state(),
    "a hundred thousand lists in each other": b"]" * 100_000 + state() + b"a" * 100_000,
    "a name without end": dictionary({"a" * 20_000: dictionary({"w": tensor()})}),
    "a function for all arguments": state(call("torch._tensor", "_rebuild_from_type_v2", plain(1))),
    "an array of fewer bytes": state(array(bytes(44))),
    "an array of negative size": state(array(bytes(48), (-3, -4))),
    "an array without end": state(array(bytes(48), (2**40, 2**40), "f8")),
    "no tensors": dictionary({"config": HARMFUL["an object with a state"]}),
    "nothing": plain(None),
}
BOMBS = {
    "steps without end": state(more=b"N0" * 20_000 + plain(1)),
    "a tensor 2^40 times": state(more=tensor() + b"2\x86" * 40),
    "an object 2^40 times": state(more=b"c__main__\nA\n)\x81" + b"2\x86" * 40),
    "a text longer than the limit": state(more=plain("a" * 50_000)),
}  # with limits of ten thousand steps, tensors and objects, and 45,000 bytes


def _zipped(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
        for entry, content in entries.items():
            zipped.writestr(f"w/{entry.replace('_', '.')}", content)
    return file.getvalue()


PYTORCH = [
    *(written(f"cut after {n} bytes", ".pt", WHOLE[:n], "E0501") for n in (0, 1, 40, len(WHOLE) // 2, len(WHOLE) - 1)),
    *(written(f"old, cut after {n} bytes", ".pth", OLD[:n], "E0501") for n in (5, 14, 30, 200, len(OLD) - 13)),
    written("random bytes", ".bin", np.random.default_rng(0).bytes(4096), "E0501"),
    *(written(lie, ".pt", archive(content), "E0501") for lie, content in [*LIES.items()][:3]),
    written("a zip of others", ".pt", _zipped(a_npy=b"a"), "E0501"),
    written("two pickles", ".pt", _zipped(**{"data_pkl": b"N.", "more/data_pkl": b"N."}), "E0501"),
    written("a bomb", ".pt", _zipped(data_pkl=b"]" * (1 << 27)), "E0501"),
    written("another order of bytes", ".pt", _zipped(data_pkl=b"N.", byteorder=b"big"), "E0501"),
    written("an archive of 2011", ".pt", b"\0" * 257 + b"ustar\0" + b"\0" * 500, "E0501"),
    written("another shape", ".pt", archive(state(tensor(shape=(4, 3), strides=(3, 1)))), "E0508"),
    written("integers", ".pt", archive(state(tensor(kind="IntStorage"))), "E0510"),
    written("a tensor is missing", ".pt", archive(dictionary({"m.dense.bias": bias()})), "E0511"),
    written("a tensor too many", ".pt", archive(state(**{"m.dense.weigth": bias(shape=(1,))})), "E0512"),
]

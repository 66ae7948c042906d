"""PyTorch's files (`torch.save`, `torch.jit.save`): a zip archive of a pickle and the bytes of each storage, before
PyTorch 1.6 both one after another.

    archive/data.pkl     dictionaries of tensors, each a view of a storage
    archive/data/0       the bytes of the storage "0", not compressed

The pickle is read as data (`pickled.py`): nothing in it is executed. Listing doesn't need NumPy; a storage is mapped
into memory when one of its tensors is read.
"""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from wsdl.diagnostics import limits
from wsdl.diagnostics.figures import size as size_text
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.types import BYTES
from wsdl.ir.weight_files import FORMATS_HELP
from wsdl.weights.npz import MOST_PACKED
from wsdl.weights.pickled import Global, InvalidPickle, read_pickle
from wsdl.weights.pytorch_values import FUNCTIONS, Named, Storage, Tensor, named, stored
from wsdl.weights.source import Source, WeightsError, broken

SAVE_AGAIN = "load it in PyTorch, and save its state: `torch.save(model.state_dict(), path)`"
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # at the start of a file before PyTorch 1.6
_LOCAL = 30  # bytes of the header of a file in a zip archive, without its name


@dataclass(frozen=True)
class Place:
    """The bytes of a storage: from `start` on in the file, or compressed as an entry of the archive."""

    start: int
    bytes: int
    entry: str = ""


Places: TypeAlias = dict[str, Place]


def open_pytorch(path: str | Path) -> Source:
    """The listing of a file. Tensors in dictionaries are named by the path to them, joined by dots."""
    with open(path, "rb") as file:
        start = file.read(262)
        file.seek(0)
        try:
            if start.startswith(b"PK"):
                found, places = _in_archive(path, file)
            elif b"ustar" in start[257:]:
                raise broken(path, "PyTorch wrote this before its version 0.1.10", SAVE_AGAIN)
            else:
                found, places = _in_sequence(path, file)
        except InvalidPickle as error:
            raise broken(path, f"not a file of PyTorch, or damaged: {error}", SAVE_AGAIN) from error
    if not found.tensors:
        objects = f", only objects of {', '.join([*found.classes][:3])}" if found.classes else ""
        raise broken(path, f"there are no tensors in this file{objects}", SAVE_AGAIN)
    for name, tensor in found.tensors.items():
        _check(path, name, tensor, places)
    tensors, aliases = _stored_once(found.tensors)

    def read(name: str) -> Any:
        return _read(path, name, found.tensors[name], places)

    infos = {name: tensor.info for name, tensor in tensors.items()}
    return Source(str(path), infos, aliases, reader=read, dictionaries=found.sets)


def _stored_once(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors without those that are the same view of one storage as an earlier one, and these as aliases."""
    first: dict[Tensor, str] = {}
    aliases = {}
    for name, tensor in tensors.items():
        if tensor.storage is not None and tensor.last >= 0 and first.setdefault(tensor, name) != name:
            aliases[name] = first[tensor]
    return {name: tensor for name, tensor in tensors.items() if name not in aliases}, aliases


def _check(path: str | Path, name: str, tensor: Tensor, places: Places) -> None:
    """Raises `WeightsError` if the file doesn't have the bytes of a tensor."""
    storage = tensor.storage
    if storage is None or storage.content is not None or tensor.last < 0:
        return
    place = places.get(storage.key)
    if place is None:
        raise broken(path, f"the bytes of the tensor `{name}` are missing in the file")
    if (storage.first + storage.elements) * storage.width > place.bytes:
        needed = size_text(storage.elements * storage.width)
        raise broken(path, f"the tensor `{name}` needs {needed}, and the file has {size_text(place.bytes)} of it")


def _read(path: str | Path, name: str, tensor: Tensor, places: Places) -> Any:
    import numpy as np

    info, storage = tensor.info, tensor.storage
    if storage is None:
        raise broken(path, f"`{name}` is a {tensor.what} tensor, which can't be read", SAVE_AGAIN)
    if info.dtype not in BYTES:
        raise broken(path, f"the dtype {info.dtype} of `{name}` isn't supported")
    dtype = numpy_dtype(info.dtype)
    if tensor.last < 0:
        return np.zeros(info.shape, dtype)
    first, elements = storage.first * storage.width + tensor.offset * dtype.itemsize, tensor.last + 1 - tensor.offset
    place = places.get(storage.key, Place(0, 0))
    if storage.content is not None:
        flat = np.frombuffer(storage.content, dtype, elements, first)
    elif place.entry:
        with zipfile.ZipFile(path) as archive:
            content = archive.read(place.entry)
        flat = np.frombuffer(content, dtype, elements, first)
    else:
        flat = np.memmap(path, dtype, "r", place.start + first, (elements,))
    if tensor.is_contiguous:
        return flat.reshape(info.shape)
    steps = [stride * dtype.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat, info.shape, steps, writeable=False)


# -- the archive -------------------------------------------------------------------------------------------------------


def _in_archive(path: str | Path, file: BinaryIO) -> tuple[Named, Places]:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            if len(entries) < len(archive.infolist()):
                raise broken(path, "two entries of the archive have the same name")
            pickles = [name for name in entries if name.endswith("/data.pkl") or name == "data.pkl"]
            if len(pickles) != 1:
                raise broken(path, "this zip archive isn't one of PyTorch: it has no `data.pkl`", FORMATS_HELP)
            folder = pickles[0].removesuffix("data.pkl")
            if folder + "byteorder" in entries and _content(path, archive, entries[folder + "byteorder"]) != b"little":
                raise broken(path, "a machine with another order of bytes wrote this file", SAVE_AGAIN)
            content = _content(path, archive, entries[pickles[0]])
            places = {
                name.removeprefix(f"{folder}data/"): _place(path, file, entry)
                for name, entry in entries.items()
                if name.startswith(f"{folder}data/")
            }
    except (WeightsError, OSError):
        raise
    except Exception as error:  # of zipfile, zlib, lzma, bz2, struct
        raise broken(path, "not a file of PyTorch, or incomplete") from error
    return named(read_pickle(io.BytesIO(content), FUNCTIONS, stored)), places


def _content(path: str | Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    _require_plausible(path, entry)
    if entry.file_size > limits.PICKLE:
        raise broken(path, f"`{entry.filename}` has more than {limits.PICKLE:,} bytes")
    return archive.read(entry)


def _require_plausible(path: str | Path, entry: zipfile.ZipInfo) -> None:
    if entry.file_size > MOST_PACKED * max(entry.compress_size, 1) + 4096:
        raise broken(path, f"the compressed size of `{entry.filename}` is too small for its uncompressed size")


def _place(path: str | Path, file: BinaryIO, entry: zipfile.ZipInfo) -> Place:
    """Where the bytes of an entry are. PyTorch doesn't compress them; other tools may."""
    _require_plausible(path, entry)
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        return Place(0, entry.file_size, entry.filename)
    file.seek(entry.header_offset)
    header = file.read(_LOCAL)
    name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    start = entry.header_offset + _LOCAL + name + extra
    if header[:4] != b"PK\3\4" or start + entry.file_size > os.fstat(file.fileno()).st_size:
        raise broken(path, f"`{entry.filename}` ends after the end of the file; is the file complete?")
    return Place(start, entry.file_size)


# -- before PyTorch 1.6 ------------------------------------------------------------------------------------------------


def _in_sequence(path: str | Path, file: BinaryIO) -> tuple[Named, Places]:
    """Pickles one after another: a number, a version, facts about the machine, the tensors, the keys of storages. Then
    for each of these the number of elements in 8 bytes, and the elements."""
    storages: dict[str, Storage] = {}

    def storage(id: Any) -> Storage | Global:
        one = stored(id)
        if isinstance(one, Storage):
            storages.setdefault(one.key, one)
        return one

    def next_value() -> Any:
        return read_pickle(file, FUNCTIONS, storage)

    try:
        is_ours = next_value() == _MAGIC and next_value() == _PROTOCOL
    except InvalidPickle:
        is_ours = False
    if not is_ours:
        raise broken(path, "not a file of PyTorch", FORMATS_HELP)
    machine = next_value()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise broken(path, "a machine with another order of bytes wrote this file", SAVE_AGAIN)
    root, keys = next_value(), next_value()
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in storages for key in keys):
        raise InvalidPickle("the storages are not those of the tensors")
    places: Places = {}
    size = os.fstat(file.fileno()).st_size
    position = file.tell()
    for key in keys:
        file.seek(position)
        elements = int.from_bytes(file.read(8), "little")
        bytes = elements * storages[key].width
        if position + 8 + bytes > size:
            raise broken(path, "a storage ends after the end of the file; is the file complete?")
        places[key] = Place(position + 8, bytes)
        position += 8 + bytes
    return named(root), places

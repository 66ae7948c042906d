"""A compiled folder: an ONNX file for each model, one data file where several models share their weights."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from wsdl.atomic import Writer, holding, write_files
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.ir.training_graphs import TrainStep
from wsdl.onnx.emit import fill, little_endian
from wsdl.onnx.streaming import model_writer
from wsdl.onnx.structure import point_into, require_valid
from wsdl.onnx.training import emit_step, initial_state
from wsdl.onnx.walk import tensor_bytes
from wsdl.weights.safetensors import safetensors_writer

Array = NDArray[Any]
INLINE = 1 << 30  # bytes of weights; more go into a data file (a file of protobuf ends at 2 GiB)
PAGE, SMALL = 4096, 64  # large tensors begin at a page, so that they can be mapped
MANIFEST = "manifest.json"


def stored_bytes(proto: ModelProto, values: Mapping[str, Array]) -> int:
    """The bytes of a model's stored tensors."""
    return sum(tensor_bytes(tensor) for tensor in proto.graph.initializer if tensor.name in values)


def writers(protos: Mapping[Path, ModelProto], values: Mapping[str, Array], data: Path) -> dict[Path, Writer]:
    """What has to be written for models to be complete, for `write_files`; what points at a file comes before it.

    The weights of a single model of up to 1 GiB go into its own file; else those of all models go, each once, into the
    file `data`, which lies in the same folder. Raises `CompileError` with E0520 for a model that is no valid ONNX.
    """
    for proto in protos.values():
        require_valid(proto, values)
    if len(protos) == 1 and all(stored_bytes(proto, values) <= INLINE for proto in protos.values()):
        return {path: model_writer(proto, values) for path, proto in protos.items()}
    tensors = {t.name: t for proto in protos.values() for t in proto.graph.initializer if t.name in values}
    positions = _positions(tensors)
    models = {path: _writer(_pointing_into(data.name, positions, proto)) for path, proto in protos.items()}
    return {**models, data: lambda file: _write_data(file, tensors, positions, values)}


@contextmanager
def loadable(proto: ModelProto, values: Mapping[str, Array]) -> Iterator[bytes | str]:
    """A model as the runtime can load it: its bytes, or for more than 1 GiB of weights a file in a folder, which is
    there until the model was loaded."""
    if stored_bytes(proto, values) <= INLINE:
        yield filled(proto, values).SerializeToString()
        return
    with TemporaryDirectory(prefix="wsdl-", ignore_cleanup_errors=True) as folder:  # mapped, so it may go at once
        path = Path(folder, f"{proto.graph.name}.onnx")
        write_files(writers({path: proto}, values, path.with_name(f"{path.name}.data")))
        yield str(path)


def filled(proto: ModelProto, values: Mapping[str, Array]) -> ModelProto:
    """A copy of a model with its weights inside."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    fill(copy, values)
    return copy


def _writer(proto: ModelProto) -> Writer:
    return lambda file: holding(proto.SerializeToString(deterministic=True))(file)


def _positions(tensors: Mapping[str, TensorProto]) -> dict[str, tuple[int, int]]:
    """Offset and length of each tensor in the data file."""
    positions: dict[str, tuple[int, int]] = {}
    end = 0
    for name, tensor in tensors.items():
        length = tensor_bytes(tensor)
        start = end + -end % (PAGE if length >= PAGE else SMALL)
        positions[name] = (start, length)
        end = start + length
    return positions


def _write_data(
    file: BinaryIO,
    tensors: Mapping[str, TensorProto],
    positions: Mapping[str, tuple[int, int]],
    values: Mapping[str, Array],
) -> None:
    for name, tensor in tensors.items():
        start, _ = positions[name]
        file.write(b"\0" * (start - file.tell()))
        file.write(np.ascontiguousarray(little_endian(values[name], tensor)).tobytes())


def _pointing_into(file: str, positions: Mapping[str, tuple[int, int]], proto: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(proto)
    for tensor in copy.graph.initializer:
        if tensor.name in positions:
            point_into(tensor, file, *positions[tensor.name])
    return copy


def manifest_writer(folder: str | os.PathLike[str], manifest: Mapping[str, Any]) -> dict[Path, Writer]:
    text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
    return {Path(folder, MANIFEST): holding(text.encode())}


def training_writers(
    steps: Iterable[TrainStep], folder: str | os.PathLike[str], values: Mapping[str, Array], seed: int, **options: Any
) -> dict[Path, Writer]:
    """What has to be written for an app to train: the steps, and what they start from."""
    files: dict[Path, Writer] = {}
    states: dict[str, dict[str, Array]] = {}
    for step in steps:
        name = f"{step.model.name}.train"
        proto = emit_step(step, **options)
        files |= writers({Path(folder, f"{name}.onnx"): proto}, values, Path(folder, f"{name}.data"))
        states.setdefault(step.initial, {}).update(initial_state(step.variables, values, seed))
    return files | {Path(folder, name): safetensors_writer(state) for name, state in states.items()}


def model_path(model: str, folder: str | os.PathLike[str]) -> Path:
    """Where a compiled folder has a model."""
    return Path(folder, f"{model}.onnx")


# -- reading -----------------------------------------------------------------------------------------------------------


def models_in(folder: str | os.PathLike[str]) -> dict[str, tuple[Path, bool]]:
    """The models of a folder that `wsdl compile` wrote: where each lies, and whether it shares a data file."""
    path = Path(folder)
    try:
        if (path / MANIFEST).exists() and not (path / MANIFEST).is_file():
            raise ValueError("it is not a file")
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        names, is_shared = list(manifest["models"]), any(name.endswith(".data") for name in manifest["files"])
        if not all(Path(name).name == name for name in names):
            raise ValueError("it names a model outside the folder")
    except (FileNotFoundError, NotADirectoryError):
        help = "`wsdl compile FILE -o DIR` makes one"
        message = f"this is not a compiled folder: there is no {MANIFEST} in it"
        raise CompileError([Diagnostic("E0701", message, file=os.fspath(folder), help=help)]) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"its {MANIFEST} can't be read: {error}"
        raise CompileError([Diagnostic("E0701", message, file=os.fspath(folder))]) from None
    return {name: (model_path(name, path), is_shared and len(names) > 1) for name in names}

"""Opens a weights file by its suffix.

Only the listing is read. The file is untrusted: sizes, offsets and lengths are checked against it before anything is
allocated.
"""

from __future__ import annotations

from pathlib import Path

from wsdl.ir.weight_files import PYTORCH, is_index, unknown_format
from wsdl.weights.npz import open_npz
from wsdl.weights.safetensors import open_safetensors
from wsdl.weights.source import Source, broken, reason_of


def open_source(path: str | Path) -> Source:
    """Open a file of one of the formats. Raises `WeightsError` if it can't be read."""
    suffix = Path(path).suffix.lower()
    if Path(path).exists() and not Path(path).is_file():
        raise broken(path, "this is not a file")  # reading a pipe or a device might not end
    try:
        if suffix == ".safetensors":
            return open_safetensors(path)
        if suffix == ".npz":
            return open_npz(path)
        if suffix in PYTORCH:
            from wsdl.weights.pytorch import open_pytorch

            return open_pytorch(path)
        if suffix == ".onnx":
            from wsdl.weights.onnx_source import open_onnx

            return open_onnx(path)
        if is_index(path):
            from wsdl.weights.shards import open_shards

            return open_shards(path, open_source)
    except OSError as error:
        raise broken(path, f"the file can't be read: {reason_of(error)}") from error
    reason = unknown_format(str(path))
    assert reason is not None, "each format has its reader"
    raise broken(path, *reason)

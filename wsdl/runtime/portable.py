"""A model that is sent to other processes, which make a session of it: sessions themselves can't be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from wsdl.onnx.index_reads import IndexRead
from wsdl.runtime.session import Session
from wsdl.weights.onnx_source import has_external_data


@dataclass(frozen=True)
class PortableModel:
    """The bytes of an ONNX file, or its path; `name` is for messages. `indices` are the inputs that are indices, if
    they can't be read from a file."""

    model: bytes | str
    name: str
    indices: tuple[IndexRead, ...] | None = None

    def packed(self) -> PortableModel:
        """With the bytes in place of the path, unless weights are in another file."""
        if isinstance(self.model, bytes) or has_external_data(self.model):
            return self
        from wsdl.onnx.index_reads import reads_in_file

        indices = self.indices if self.indices is not None else tuple(reads_in_file(self.model))
        return replace(self, model=Path(self.model).read_bytes(), indices=indices)

    def session(self, *, device: str = "cpu", threads: int | None = None) -> Session:
        indices = None if self.indices is None else lambda: list(self.indices or ())
        return Session(self.model, device=device, threads=threads, indices=indices, name=self.name)

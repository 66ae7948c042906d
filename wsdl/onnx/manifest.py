"""`manifest.json` of a compiled folder: the models with their signatures, the stored tensors, and the proof.

It has no time stamps and no absolute paths, so that the same program gives the same bytes.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from wsdl._version import __version__
from wsdl.diagnostics.render import FORMAT_VERSION
from wsdl.diagnostics.span import Source
from wsdl.ir.graph import LoopChoice
from wsdl.ir.inventory import Inventory
from wsdl.onnx.proof import Proofs

Manifest = dict[str, Any]
LARGE = 1 << 20  # bytes; smaller constants aren't listed


def manifest(
    source: Source, inventory: Inventory, files: Iterable[str], loops: Iterable[LoopChoice], *, seed: int, opset: int
) -> Manifest:
    """The manifest without the proof."""
    return {
        "format_version": FORMAT_VERSION,
        "wsdl": __version__,
        "source": {"file": os.path.basename(source.path), "sha256": source.sha256},
        "seed": seed,
        "opset": opset,
        "files": list(files),
        **inventory.as_json(),
        "loops": [_loop(choice, source) for choice in loops],
    }


def _loop(choice: LoopChoice, source: Source) -> dict[str, Any]:
    """How a `for` was compiled; its file is relative to the folder of the program, or as in `std/conv.wsd`."""
    other = choice.span.source
    file = os.path.basename(source.path)
    if other is not source:
        file = other.path if other.is_standard else posixpath.relpath(other.path, posixpath.dirname(source.path) or ".")
    position = {"file": file, "line": choice.span.line}
    return {**position, "steps": choice.count, "rolled": choice.rolled, "why": choice.why}


def with_proof(manifest: Manifest, proofs: Mapping[str, Proofs]) -> Manifest:
    """The manifest with the copies of each stored tensor of each model, and the total bytes of each model."""
    tensors = [
        {"model": model, **{key: _as_integer(value) for key, value in asdict(proof).items()}}
        for model, verified in proofs.items()
        for proof in verified.tensors
    ]
    totals = {
        model: {
            "holds": verified.holds,
            "stored_bytes": verified.stored_bytes,
            "file_bytes": verified.file_bytes,
            "optimized_bytes": verified.optimized_bytes,
            "full_level_bytes": verified.full_level_bytes,
            "packed_bytes": verified.packed_bytes,
            "constant_bytes": verified.constant_bytes,
            "constants": {name: bytes for name, bytes in verified.constants.items() if bytes >= LARGE},
        }
        for model, verified in proofs.items()
    }
    return {**manifest, "proof": tensors, "proof_totals": totals}


def _as_integer(value: Any) -> Any:
    """2 instead of 2.0 copies; other values unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value

"""The names of parameters that exporters lose when they compute or transpose weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from onnx import NodeProto, defs

from wsdl.diagnostics import limits
from wsdl.weights.onnx_reads import Read

_SCOPES = "pkg.torch.onnx.name_scopes"  # in the metadata of nodes
_LOST = re.compile(r"onnx::\w+|\d+|val_\d+")  # names that exporters of PyTorch give to what they have computed
_COUNTED = re.compile(r"(\w+?)(_\d+)?")  # `MatMul`, `MatMul_1`: the end of the name of a node


@dataclass(frozen=True)
class Recovered:
    """The name that a parameter probably had in PyTorch, `name`, and whether the file holds it `transposed`."""

    name: str
    transposed: bool


def recovered_names(reads: Mapping[str, Sequence[Read]], taken: Iterable[str]) -> dict[str, dict[str, Recovered]]:
    """For tensors whose names an exporter has lost (`onnx::MatMul_1582`), those of the parameters that they are, by the
    labels of the nodes that read them, without names that are `taken`.

    The node `/encoder/layer.0/query/MatMul` is in the layer `encoder.layer.0.query`, and multiplies by the transposed
    `weight`; if `encoder.layer.0.attention.in_proj_bias` is added to the result, by `in_proj_weight` beside it.
    """
    recovered: dict[str, dict[str, Recovered]] = {}
    others = {*taken}
    for name, of_tensor in reads.items():
        if not _LOST.fullmatch(name.rpartition("/")[2]):
            continue
        names: dict[str, Recovered] = {}
        for read in of_tensor:
            path, transposed = _path(read)
            if path and path not in others:
                names[read.label] = Recovered(path, transposed)
        others.update(one.name for one in names.values())
        recovered |= {name: names} if names else {}
    return recovered


def _path(read: Read) -> tuple[str, bool]:
    """The name of the parameter that a node reads, and whether the file holds it transposed; empty if there is none."""
    view, turned = read.parts[0].view, read.parts[0].view.is_transpose
    if not read.exact or read.parts[0].picked is not None or not (turned or view.is_identity):
        return "", False
    role, transposed = _role(read, len(view.source))
    if turned and role != "weight":
        return "", False
    return (_by_bias(read) if role == "weight" else "") or _by_scope(read.node, role), transposed != turned


def _by_bias(read: Read) -> str:
    """The name of the weight beside a bias that is added to the result: `in_proj_weight` beside `in_proj_bias`."""
    if read.node.op_type != "MatMul" or not read.added.endswith("bias") or _LOST.fullmatch(read.added):
        return ""
    return read.added.removesuffix("bias") + "weight"


def _by_scope(node: NodeProto, role: str) -> str:
    """The name of a parameter by the layer of the node that reads it; empty if that is in none.

    The older exporter of PyTorch names nodes by their scopes, `/net/net.0/MatMul`; the newer one writes them into the
    metadata of nodes, `['', 'net', 'net.0', 'linear']`. A container and its element are `net` and `net.0`.
    """
    written = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), None)
    if len(node.name) > limits.PATH or len(written or "") > limits.PATH:
        return ""
    if written is None:
        *scopes, end = [part for part in node.name.split("/") if part] or [""]
        counted = _COUNTED.fullmatch(end)
        number = "" if counted is None else counted[2] or ""
    else:
        scopes, number = [part for part in re.findall(r"'([^']*)'", written) if part][:-1], ""
    layers = [one for one, inner in pairwise([*scopes, ""]) if not inner.startswith(f"{one}.")]
    return f"{'.'.join(layers)}.{role}{number}" if layers else ""


def _role(read: Read, rank: int) -> tuple[str, bool]:
    """What PyTorch calls an input of an operator, and whether the operator has it transposed."""
    op, number = read.node.op_type, read.input
    if op == "MatMul":
        return "weight", rank == 2 and number == 1
    if op == "Gemm" and number == 1:
        return "weight", not any(a.name == "transB" and a.i for a in read.node.attribute)
    if op in _ROLES:
        roles = _ROLES[op]
        return (roles[number] if number < len(roles) else "") or op, False
    inputs = defs.get_schema(op).inputs if defs.has(op) else []
    # `R` of an `LSTM`; `A` and `B` of operators with two inputs say less than their names.
    return (inputs[number].name if len(inputs) > 2 and number < len(inputs) else op), False


_NORM = ("", "weight", "bias", "running_mean", "running_var")
_ROLES = {
    "Conv": ("", "weight", "bias"), "ConvTranspose": ("", "weight", "bias"), "Gemm": ("", "weight", "bias"),
    "BatchNormalization": _NORM, "InstanceNormalization": _NORM, "LayerNormalization": _NORM,
    "Gather": ("weight",), "PRelu": ("", "weight"),
}  # fmt: skip

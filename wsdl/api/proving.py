"""The verification of a compiled folder: how ONNX Runtime optimizes each model, and the diagnostics about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.figures import size
from wsdl.ir.graph import Lowered, Stored, file_path
from wsdl.onnx.proof import ONCE, Proof, Proofs, Unloadable, Unproved, prove, require_loadable

REPORT = "please report it, with the program and these lines"
ACCEPT = (
    "the file is valid and stores each weight once, but ONNX Runtime keeps more in memory; "
    "if that is acceptable, compile with `--no-proof`, which skips this check"
)


def prove_models(
    program: Lowered, paths: Mapping[str, Path], shared: Collection[str]
) -> tuple[dict[str, Proofs], list[Diagnostic]]:
    """The proofs of the models that ONNX Runtime can load here, and the diagnostics about all of them: an error if a
    tensor is stored twice; a warning if only the default optimization level copies one of the `shared`, or if a model
    can't be loaded on this machine. Raises `CompileError` with E0521 for models that ONNX Runtime rejects."""
    proofs: dict[str, Proofs] = {}
    findings: list[Diagnostic] = []
    refused: list[Diagnostic] = []
    for name, path in paths.items():
        try:
            proofs[name] = prove(path)
        except Unproved as reason:
            findings.append(_not_proved(name, path, str(reason)))
        except Unloadable as reason:
            refused.append(_refused(name, path, str(reason)))
        else:
            findings += [*_copied(program, name, proofs[name])]
            findings += [*_copied_by_default(program, name, [p for p in proofs[name].tensors if p.stored in shared])]
    if refused:
        raise CompileError([*findings, *refused])
    return proofs, findings


def load_steps(paths: Iterable[Path]) -> list[Diagnostic]:
    """Load the training steps with ONNX Runtime; diagnostics and errors as in `prove_models`."""
    findings: list[Diagnostic] = []
    for path in paths:
        try:
            require_loadable(path)
        except Unproved as reason:
            findings.append(_not_proved(path.stem, path, str(reason)))
        except Unloadable as reason:
            raise CompileError([_refused(path.stem, path, str(reason))]) from reason
    return findings


def _not_proved(name: str, path: Path, reason: str) -> Diagnostic:
    message = f"`{name}` was written but not verified: ONNX Runtime can't load it on this machine's CPU"
    help = "its CPU kernels support f32 everywhere, f64 and f16 mostly, bf16 hardly anywhere"
    return Diagnostic("W0702", message, file=str(path), help=help, severity="warning", details=(reason,))


def _refused(name: str, path: Path, reason: str) -> Diagnostic:
    message = f"`{name}` was written, but ONNX Runtime can't load it"
    help = f"this is a bug in wsdl or in the runtime: {REPORT}; `--no-proof` writes the file without loading it"
    return Diagnostic("E0521", message, file=str(path), help=help, details=(reason,))


# -- tensors that are stored twice -------------------------------------------------------------------------------------


def _copied(program: Lowered, model: str, proofs: Proofs) -> Iterator[Diagnostic]:
    copied = [proof for proof in proofs.tensors if not proof.holds]
    created = sum(tensor.bytes for tensor in proofs.created)
    is_created = 0 < proofs.added_bytes <= created  # by tensors that are computed from several stored ones
    if not proofs.holds and (is_created or not copied):
        yield _more_bytes(program, model, proofs)
        origins = {name for tensor in proofs.created for name in tensor.origins}
        copied = [proof for proof in copied if proof.stored not in origins]
    for proof in copied:
        stored = program.stored.get(proof.stored)
        after = " after ONNX Runtime's optimization" if _is_optimized(proof) else ""
        yield Diagnostic(
            "E0522",
            f"`{proof.stored}` is stored {proof.copies:.3g} times in `{model}`{after}",
            stored.root.layer_span if stored else program.models[model].span,
            "a weight of this layer" if stored else "",
            help=ACCEPT if _is_optimized(proof) else f"this is a bug in wsdl: {REPORT}",
            details=tuple(_readers(stored)) if stored else (),
        )


def _copied_by_default(program: Lowered, model: str, shared: Iterable[Proof]) -> Iterator[Diagnostic]:
    """One warning for all shared tensors that the default optimization level copies and the extended one doesn't."""
    copied = [proof for proof in shared if proof.holds and (proof.copies_at_full_level or 0) >= ONCE]
    if not copied:
        return
    first = program.stored.get(copied[0].stored)
    several = "a shared tensor" if len(copied) == 1 else f"{len(copied)} shared tensors"
    yield Diagnostic(
        "W0704",
        f"ONNX Runtime's default optimization level copies {several} of `{model}`",
        first.root.layer_span if first else program.models[model].span,
        "this layer's" if first else "",
        help="the session option `graph_optimization_level = ORT_ENABLE_EXTENDED` keeps one copy",
        severity="warning",
        details=tuple(
            f"`{proof.stored}`, {size(proof.bytes)}: {proof.copies_at_full_level:.3g} copies" for proof in copied[:6]
        ),
    )


def _is_optimized(proof: Proof) -> bool:
    """Whether the copies are those of ONNX Runtime's optimization, and not in the file itself."""
    return (proof.copies_after_optimization or 0) >= (proof.copies_in_file or 0)


def _readers(stored: Stored) -> Iterator[str]:
    if len(stored.slots) > 1:
        readers = ((f"`{file_path(slot.path)}`", f" as `{view}`" * bool(str(view))) for slot, view in stored.slots[:6])
        yield "read by " + ", ".join(f"{path}{view}" for path, view in readers)


def _more_bytes(program: Lowered, model: str, proofs: Proofs) -> Diagnostic:
    """An error about large tensors that ONNX Runtime computes from stored ones, without copying any of them."""
    created = sorted(proofs.created, key=lambda tensor: -tensor.bytes)
    origins = [program.stored[name] for tensor in created for name in tensor.origins if name in program.stored]
    return Diagnostic(
        "E0522",
        f"ONNX Runtime's optimization stores {size(proofs.added_bytes)} besides the weights of `{model}`",
        origins[0].root.layer_span if origins else program.models[model].span,
        "computed from these weights, among others" if origins else "",
        help=ACCEPT,
        details=tuple(
            f"`{tensor.name}`, {size(tensor.bytes)}"
            + (f", computed from {', '.join(f'`{name}`' for name in tensor.origins[:6])}" if tensor.origins else "")
            for tensor in created[:6]
        ),
    )

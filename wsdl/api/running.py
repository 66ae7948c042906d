"""Sessions that run one model, or the models of a compiled folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsdl.api.compiling import compile
from wsdl.api.program import Program
from wsdl.api.sources import program_in, require, require_file
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.options import COUNT, DIMS, NAME, PATH, SEED, SHARE, WEIGHTS, Optional, takes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsdl.runtime.session import Session
    from wsdl.weights.weights import Weights

    Array = NDArray[Any]


@takes(
    path=PATH,
    model=Optional(NAME),
    weights=Optional(WEIGHTS),
    fit=Optional(SHARE),
    device=NAME,
    seed=SEED,
    dims=Optional(DIMS),
    import_root=Optional(PATH),
    variant=Optional(NAME),
)
def open_model(
    path: str | os.PathLike[str],
    *,
    model: str | None = None,
    weights: Weights | None = None,
    fit: float | None = None,
    device: str = "cpu",
    seed: int = 0,
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
    variant: str | None = None,
) -> tuple[Session, list[Diagnostic]]:
    """A session for a `.wsd` or `.onnx` file, and the warnings about it. An ONNX file contains its weights."""
    require(path)
    if Path(path).suffix.lower() == ".onnx":
        from wsdl.runtime.session import Session

        require_plain(path, model=model, weights=weights, dims=dims, variant=variant)
        return Session(Path(path), device=device), []
    program = compile(
        program_in(path), dims=dims, seed=seed, weights=weights, fit=fit, import_root=import_root, variant=variant
    )
    return program.session(model, device=device), [*program.diagnostics, *untrained(program)]


def require_plain(
    path: str | os.PathLike[str],
    *,
    model: str | None,
    weights: Weights | None,
    dims: Mapping[str, int] | None,
    variant: str | None,
) -> None:
    """Raises `CompileError` if an ONNX file doesn't exist or is damaged, or for options that only a program has."""
    from wsdl.weights.onnx_source import check_onnx

    require_file(path)
    if weights is not None or dims or model is not None or variant is not None:
        message = "an ONNX file is run as it is, without `--model`, `--weights`, `--dim` and `--variant`"
        raise CompileError([Diagnostic("E0704", message, file=os.fspath(path))])
    check_onnx(path)


@takes(
    path=PATH,
    data=PATH,
    model=Optional(NAME),
    weights=Optional(WEIGHTS),
    fit=Optional(SHARE),
    device=NAME,
    batch=Optional(COUNT),
    seed=SEED,
    dims=Optional(DIMS),
    import_root=Optional(PATH),
    variant=Optional(NAME),
)
def run(
    path: str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    model: str | None = None,
    weights: Weights | None = None,
    fit: float | None = None,
    device: str = "cpu",
    batch: int | None = None,
    seed: int = 0,
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
    variant: str | None = None,
) -> tuple[dict[str, Array], list[Diagnostic]]:
    """The outputs of a `.wsd` or `.onnx` file on data in a file, `batch` rows at a time, and the warnings about it."""
    from wsdl.runtime.data import open_data

    session, diagnostics = open_model(
        path,
        model=model,
        weights=weights,
        fit=fit,
        device=device,
        seed=seed,
        dims=dims,
        import_root=import_root,
        variant=variant,
    )
    return session.run(open_data(data).fitting(session.inputs), batch=batch), diagnostics


def untrained(program: Program) -> list[Diagnostic]:
    """A warning if trainable weights still have random initial values."""
    drawn = [name for name in program.drawn if program.inventory.stored[name].trainable]
    if not drawn:
        return []
    message = f"untrained weights: {len(drawn)} of {len(program.stored)} tensors have random initial values"
    help = "`--weights run/best.safetensors` loads trained ones"
    return [Diagnostic("W0701", message, file=program.source.path, help=help, severity="warning")]


@takes(folder=PATH, device=NAME)
def load(folder: str | os.PathLike[str], *, device: str = "cpu") -> dict[str, Session]:
    """A session for each model of a compiled folder, by name.

    Models with a common data file share its memory: the file is mapped, and prepacking is disabled, since it would copy
    the weights for each model (without it, matrix products with few rows are slower).
    """
    from wsdl.onnx.folder import models_in
    from wsdl.runtime.session import Session

    files = models_in(folder)
    return {name: Session(path, device=device, prepack=not shared) for name, (path, shared) in files.items()}

"""Compiles a file, or source text, to a `Program`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, get_args

from wsdl import compiler
from wsdl.api.program import Program
from wsdl.api.sources import source_of
from wsdl.compiler import SourceOptions
from wsdl.diagnostics import CompileError, Diagnostic, Problems
from wsdl.diagnostics.span import Source
from wsdl.ir.target import OPSETS, PRECISIONS, Loops, Materialize, Precision, Target
from wsdl.options import DIMS, FLAG, FUNCTION, NAME, PATH, SEED, SHARE, WEIGHTS, OneOf, Optional, Whole, takes
from wsdl.weights.values import stored_values

if TYPE_CHECKING:
    from wsdl.weights.weights import Weights


@takes(
    dims=Optional(DIMS),
    loops=OneOf(get_args(Loops)),
    opset=Whole(OPSETS[0], OPSETS[-1]),
    seed=SEED,
    weights=Optional(WEIGHTS),
    partial=FLAG,
    fit=Optional(SHARE),
    import_root=Optional(PATH),
    variant=Optional(NAME),
    dtype=OneOf(PRECISIONS),
    keep_io=FLAG,
    materialize=OneOf(get_args(Materialize)),
    progress=Optional(FUNCTION),
)
def compile(
    path_or_source: str | os.PathLike[str] | Source,
    *,
    dims: Mapping[str, int] | None = None,
    loops: Loops = "auto",
    opset: int = 21,
    seed: int = 0,
    weights: Weights | None = None,
    partial: bool = False,
    fit: float | None = None,
    import_root: str | None = None,
    variant: str | None = None,
    dtype: Precision = "f32",
    keep_io: bool = True,
    materialize: Materialize = "none",
    progress: Callable[[int, int, float], None] | None = None,
) -> Program:
    """Compile a file, or source text.

    - `dims` fixes dynamic dimensions: `{"t": 128}`.
    - `loops`: repeated layers become an ONNX `Loop` (`"loop"`), or nodes for each step (`"unroll"`).
    - `seed` is that of the initial values. `load` statements replace them, and then `weights`: a file, or a mapping
      from the name of a stored tensor, or the path of any parameter that reads it, to an array. Every stored tensor is
      required, unless `partial=True`. Weights that can't be represented exactly, since this program shares more, are an
      error, unless `fit` is the share of its norm that each parameter may lose: `fit=0.2` takes the nearest values.
    - `variant` is the name of a variant that the file declares; by default the program is compiled without one.
    - `dtype="f16"` or `"bf16"` stores f32 tensors in 16 bits; inputs and outputs stay f32 unless `keep_io=False`.
    - `materialize="all"` writes the values of what formulas compute in place of what they are computed from, `"auto"`
      those with which the file doesn't get larger. A trainer computes them all the same.
    - `progress` is called after each round of a fit, with the number of the group of tensors that is fitted (from 1),
      that of all groups, and the share of the group's norm that is lost so far.

    Raises `CompileError` if there are errors; its `diagnostics` are all of them.
    """
    source = source_of(path_or_source)
    if fit is not None and weights is None:
        help = 'for the weights that a program loads, write it there: `load "x.safetensors" into lm fit 0.2`'
        raise CompileError([Diagnostic("E0704", "`fit` requires `weights`", file=source.path, help=help)])
    target = Target(loops, opset, dtype, keep_io, materialize)
    problems = Problems()
    checked = compiler.check(source, problems, SourceOptions(dims or {}, import_root))
    storage = compiler.store(compiler.with_variant(checked, variant, problems), problems, dtype)
    if storage is None:
        raise CompileError(problems)
    if not storage.models:
        help = "only a `model` compiles to a file; blocks can be imported"
        problems.add(Diagnostic("E0219", "this file has no model", file=source.path, help=help))
        raise CompileError(problems)
    storage = storage.as_dtype(dtype)
    values = stored_values(storage, problems, weights, seed=seed, partial=partial, fit=fit, progress=progress)
    if problems.errors:
        raise CompileError(problems)
    return Program(source, target, storage, values, seed, list(problems))

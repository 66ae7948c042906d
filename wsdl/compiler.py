"""The whole way from text to a proven ONNX file, on one screen.

    text -> tree -> program -> graph -> file
         parse   elaborate  passes   emit

`check` goes as far as the program, and imports neither NumPy nor ONNX on its way; `lower` runs the passes; `build`
draws or loads the numbers and emits. Each can be the last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsdl.diagnostics import CompileError, Diagnostic, Problems
from wsdl.ir.graph import Program
from wsdl.passes.check_dims import check_dims
from wsdl.passes.check_limits import check_limits
from wsdl.passes.dedupe import dedupe
from wsdl.passes.elaborate import elaborate
from wsdl.passes.fold_batch_norm import fold_batch_norm
from wsdl.passes.fold_views import fold_views
from wsdl.passes.prune import prune
from wsdl.passes.resolve import resolve
from wsdl.passes.roll_loops import Loops, roll_loops
from wsdl.passes.share import share
from wsdl.span import Source

if TYPE_CHECKING:
    from onnx import ModelProto

PASSES: tuple[Callable[[Program], Program], ...] = (fold_batch_norm, dedupe, prune)


@dataclass(frozen=True)
class Options:
    """What the command line and the Python API can choose.

    `dims` gives run-time dimensions a value, `loops` says how repeated layers are compiled, `import_root` is the folder
    that imports may not leave (by default that of the file).
    """

    dims: Mapping[str, int] = field(default_factory=dict)
    loops: Loops = "auto"
    opset: int = 21
    seed: int = 0
    import_root: str | None = None


# -- text to program ---------------------------------------------------------------------------------------------------


def check(source: Source, problems: Problems, options: Options = Options()) -> Program:
    """The program of a source, and all that is wrong with it in `problems`."""
    scope = resolve(source, problems, read, options.import_root)
    if not problems.errors:
        check_dims(scope, options.dims, problems)
    program = elaborate(scope, problems, options.dims)
    if not problems.errors:
        share(program, problems)
    if not problems.errors:
        check_limits(program, problems)
    return program


def read(path: str) -> Source | None:
    """The source in a file, or `None` where there is none. Raises `CompileError` where it can't be read as text."""
    try:
        return Source(path, Path(path).read_bytes().decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        line = Path(path).read_bytes()[: error.start].count(b"\n") + 1
        problem = f"the file is not UTF-8 text (byte {error.start}, line {line})"
        raise CompileError([Diagnostic("E0702", problem, file=path, help="save it as UTF-8")]) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CompileError([Diagnostic("E0701", f"the file can't be read: {reason}", file=path)]) from None


# -- program to graph --------------------------------------------------------------------------------------------------


def lower(program: Program, options: Options = Options()) -> Program:
    """The program as it is emitted: views folded, loops rolled, everything computed once."""
    roll_loops(fold_views(program), options.loops)
    for run in PASSES:
        run(program)
    return program


# -- graph to file -----------------------------------------------------------------------------------------------------


def emit(
    program: Program, values: Mapping[str, Any], source: Source, options: Options = Options()
) -> dict[str, ModelProto]:
    """The ONNX model of each model of a lowered program, without the numbers of its stored tensors."""
    from wsdl.onnx.emit import structure

    digest = sha256(source.text.encode()).hexdigest()
    return {
        name: structure(program, model, opset=options.opset, source_sha256=digest)
        for name, model in program.models.items()
    }

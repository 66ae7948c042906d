"""The whole way from text to a proven ONNX file, on one screen.

    text -> tree -> Checked -> Storage -> Program -> ONNX
        parse   check     store      lower      emit

`check` finds out what a file says, `store` which tensors are stored for it; these two import neither NumPy nor ONNX.
`numbers` draws or loads what is stored, `lower` copies the graphs for a target and runs the passes on them, `emit`
writes ONNX. A stage stays as it is when the next is made of it, so that one `Checked` serves many `Storage`s, and one
`Storage` many targets.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from wsdl import limits
from wsdl.diagnostics import CompileError, Diagnostic, Problems
from wsdl.ir.graph import Program, Stored
from wsdl.ir.stages import Checked, Storage
from wsdl.ir.types import TensorType
from wsdl.passes.batch_norm_to_conv import batch_norm_to_conv
from wsdl.passes.check_dims import check_dims
from wsdl.passes.check_file_names import check_file_names
from wsdl.passes.check_limits import check_limits
from wsdl.passes.check_memory import check_memory
from wsdl.passes.check_training import check_training
from wsdl.passes.count_reads import count_reads
from wsdl.passes.dedupe import dedupe
from wsdl.passes.elaborate import elaborate
from wsdl.passes.fold_batch_norm import fold_batch_norm
from wsdl.passes.fold_views import fold_views
from wsdl.passes.fuse_recurrent import fuse_recurrent
from wsdl.passes.lower_precision import Half, lower_precision
from wsdl.passes.prune import prune
from wsdl.passes.read_stored import read_stored
from wsdl.passes.resolve import resolve
from wsdl.passes.roll_loops import Loops, roll_loops
from wsdl.passes.share import share
from wsdl.passes.share_products import share_products
from wsdl.span import Source

if TYPE_CHECKING:
    from onnx import ModelProto

    from wsdl.onnx.weights import Weights
    from wsdl.passes.evaluation import Evaluation
    from wsdl.passes.split_step import SplitStep
    from wsdl.passes.train_step import TrainStep

Precision = Literal["f32"] | Half
PRECISIONS: tuple[Precision, ...] = ("f32", *get_args(Half))
OPSETS = range(18, 26)  # versions of ONNX's operators that can be written


@dataclass(frozen=True)
class SourceOptions:
    """What can be chosen about a source: `dims` gives run-time dimensions a value, `import_root` is the folder that
    imports may not leave (by default that of the file)."""

    dims: Mapping[str, int] = field(default_factory=dict)
    import_root: str | None = None


@dataclass(frozen=True)
class Target:
    """What is compiled for: `loops` says how repeated layers are compiled, `opset` is the version of ONNX's operators.
    What is f32 is stored as `dtype`; inputs and outputs are too unless `keep_io`."""

    loops: Loops = "auto"
    opset: int = 21
    dtype: Precision = "f32"
    keep_io: bool = True

    def io(self, type: TensorType) -> TensorType:
        """The type of an input or an output that is written as `type`."""
        return type if self.keep_io or type.dtype != "f32" else type.with_dtype(self.dtype)


# -- text to what is stored --------------------------------------------------------------------------------------------


def check(source: Source, problems: Problems, options: SourceOptions = SourceOptions()) -> Checked:
    """What a source says, as far as it was understood, and all that is wrong with it in `problems`; `store` finds what
    is wrong with the paths in it."""
    sources = {Path(source.path).name: source}

    def reading(path: str) -> Source | None:
        found = read(path, imported=True)
        if found is not None:
            sources[posixpath.relpath(path, posixpath.dirname(source.path) or ".")] = found
        return found

    scope = resolve(source, problems, reading, options.import_root)
    if not problems.errors:
        check_dims(scope, options.dims, problems)
    program = replace(elaborate(scope, problems, options.dims), sources=sources)
    check_file_names(scope, program, problems)
    return program if problems.errors else count_reads(program)


def store(program: Checked, problems: Problems, dtype: Precision = "f32") -> Storage | None:
    """What is stored for a program, where there are no errors. Limits are held against the sizes in `dtype`."""
    storage = share(program, problems)
    if storage is None:
        return None
    storage = check_training(storage, problems)
    check_limits(storage.as_dtype(dtype), problems)
    return None if problems.errors else storage


def check_loads(storage: Storage, problems: Problems) -> None:
    """Hold the `load`s of a program against the listings of their files, where these are here."""
    if storage.checked.loads:
        from wsdl.onnx.loads import open_loads

        open_loads(storage, problems, missing=True)


def read(path: str, imported: bool = False) -> Source | None:
    """The source in a file, or `None` where there is none. Raises `CompileError` where it can't be read as text.

    A pipe may be given, as a shell does; what is `imported` is a file, so that nothing waits for a writer.
    """
    data = b""
    try:
        if imported and Path(path).exists() and not Path(path).is_file():
            raise CompileError([Diagnostic("E0701", "this is not a file", file=path)])
        with open(path, "rb") as file:
            data = file.read(limits.SOURCE_BYTES + 1)
        if len(data) > limits.SOURCE_BYTES:
            raise CompileError([too_much_text(path)])
        return Source(path, data.decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problem = f"the file is not UTF-8 text (byte {error.start}, line {line})"
        raise CompileError([Diagnostic("E0702", problem, file=path, help="save it as UTF-8")]) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CompileError([Diagnostic("E0701", f"the file can't be read: {reason}", file=path)]) from None


def too_much_text(path: str) -> Diagnostic:
    message = f"the file has more than {limits.SOURCE_BYTES:,} bytes, which no program has"
    return Diagnostic("E0701", message, file=path, help="weights belong into a .safetensors file, which `load` names")


# -- the numbers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Numbers:
    """The number of each stored tensor; `drawn` names those that nothing but chance has given."""

    values: dict[str, Any]
    drawn: frozenset[str]


def numbers(
    storage: Storage,
    problems: Problems,
    weights: Weights | None = None,
    *,
    seed: int = 0,
    partial: bool = False,
) -> Numbers:
    """What is stored at first: `weights`, beneath them what the `load`s of the program fill, beneath it initial values.

    Weights are complete, so that the files of the `load`s need not be there, unless they may be `partial`.
    """
    from wsdl.onnx.initial_values import initial_value
    from wsdl.onnx.loads import open_loads
    from wsdl.onnx.weights import given_weights, loaded_weights, not_finite

    stored = storage.stored
    given: dict[str, Any] = {}
    if weights is not None and not partial:
        given = given_weights(storage, weights)
    if not given.keys() >= stored.keys():
        loads = open_loads(storage, problems)
        if problems.errors:
            return Numbers({}, frozenset())
        partly = {fill.stored for fill in loads.fills if not fill.view.is_whole}
        check_memory([stored[name] for name in partly])
        beneath = {name: initial_value(stored[name], seed) for name in partly}
        given = {**loaded_weights(storage, loads, beneath), **given}
    if weights is not None and partial:

        def beneath_them(name: str) -> Any:
            return given[name] if name in given else initial_value(stored[name], seed)

        given = {**given, **given_weights(storage, weights, beneath=beneath_them)}
    finite = {name for name, s in stored.items() if not _may_be_infinite(s)}
    if not isinstance(weights, Mapping) and (lines := not_finite(given, finite)):
        problems.add(_not_finite(lines, None if weights is None else str(weights)))
    check_memory([s for s in stored.values() if s.name not in given])
    values = {n: given[n] if n in given else initial_value(s, seed) for n, s in stored.items()}
    return Numbers(values, frozenset(stored.keys() - given.keys()))


def _may_be_infinite(stored: Stored) -> bool:
    """Where an infinity is meant, such as those of a mask: in a state of the user's, and in what is frozen."""
    return stored.frozen or (stored.root.kind == "state" and not stored.root.span.source.is_standard)


def _not_finite(lines: list[str], file: str | None) -> Diagnostic:
    message = "a tensor of the weights has numbers that are not finite"
    if len(lines) > 1:
        message = "tensors of the weights have numbers that are not finite"
    help = "was the training that wrote them still sound? `freeze` what is infinite on purpose, such as a mask"
    return Diagnostic("W0703", message, file=file, help=help, severity="warning", details=tuple(lines))


# -- what is stored to graphs ------------------------------------------------------------------------------------------


Pass: TypeAlias = "Callable[[Program, Target], object]"
"""Changes a program in place. Its file shows, executed, what a program becomes; more cases are in `tests/passes`."""


def _for_all(run: Callable[[Program], object]) -> Pass:
    """A pass that is the same for all targets."""

    @wraps(run)
    def run_for(program: Program, _: Target) -> None:
        run(program)

    return run_for


@wraps(roll_loops)
def _roll_loops(program: Program, target: Target) -> None:
    roll_loops(program, target.loops)


@wraps(lower_precision)
def _lower_precision(program: Program, target: Target) -> None:
    if target.dtype != "f32":
        lower_precision(program, target.dtype, target.keep_io)


INFERENCE: tuple[Pass, ...] = (
    _lower_precision,
    _for_all(fold_views),
    _for_all(fuse_recurrent),
    _for_all(share_products),
    _roll_loops,
    _for_all(fold_batch_norm),
    _for_all(batch_norm_to_conv),
    _for_all(dedupe),
    _for_all(prune),
)


def lower(storage: Storage, target: Target = Target()) -> Program:
    """The models for a target, as they are emitted: in its precision, views folded, recurrent layers fused, loops
    rolled, everything computed once."""
    program = read_stored(storage)
    for run in INFERENCE:
        run(program, target)
    return program


def train_steps(storage: Storage, target: Target = Target()) -> dict[str, TrainStep]:
    """The step of training of each model that has a `train`, by the name of the model."""
    from wsdl.passes.train_step import train_step

    return {name: train_step(storage, training, target.loops) for name, training in storage.trainings.items()}


def split_step(
    storage: Storage, model: str, target: Target = Target(), *, of_parts: bool = False, piecewise: bool = False
) -> SplitStep:
    """The step of training of one model in two halves, for batches in several parts or in one; `piecewise` with the
    update of large tensors by itself."""
    from wsdl.passes.split_step import split_step

    return split_step(storage, storage.trainings[model], target.loops, of_parts=of_parts, piecewise=piecewise)


def evaluation(storage: Storage, model: str, target: Target = Target()) -> Evaluation:
    """The evaluation of one model that has a `train`."""
    from wsdl.passes.evaluation import evaluation

    return evaluation(storage, storage.trainings[model], target.loops)


# -- graphs to files ---------------------------------------------------------------------------------------------------


def emit(program: Program, source: Source, target: Target = Target()) -> dict[str, ModelProto]:
    """The ONNX model of each model of a lowered program, without the numbers of its stored tensors."""
    from wsdl.onnx.emit import structure

    digest = sha256(source.text.encode()).hexdigest()
    return {
        name: structure(program, model, opset=target.opset, source_sha256=digest)
        for name, model in program.models.items()
    }

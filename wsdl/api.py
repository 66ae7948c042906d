"""WSDL from Python: `compile` a file, run its models, look at and set what is stored.

    program = wsdl.compile("lm.wsd")                    # checked; `CompileError` carries the findings
    program.models["lm"].save("build/lm.onnx")
    lm = program.session("lm", weights="run/best.safetensors")
    logits = lm(ids=ids)["logits"]                      # NumPy in, NumPy out

    models = wsdl.load("build/")                        # every model of a compiled folder

The command line is a thin layer over this module. Importing it is cheap: NumPy, ONNX and ONNX Runtime are imported by
what needs them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from wsdl import compiler
from wsdl.compiler import Options
from wsdl.diagnostics import CompileError, Diagnostic, Problems
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.graph import Program as Checked
from wsdl.ir.inventory import Inventory, inventory
from wsdl.ir.types import TensorType
from wsdl.passes.roll_loops import Loops
from wsdl.span import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

    from wsdl.onnx.weights import Weights
    from wsdl.passes.train_step import TrainStep
    from wsdl.runtime.session import Session

    Array = NDArray[Any]

STDIN = "-"

# -- sources -----------------------------------------------------------------------------------------------------------


def read_source(path: str | os.PathLike[str]) -> Source:
    """The text in a file, `-` being stdin. Raises `CompileError` where there is none, or none that can be read."""
    name = os.fspath(path)
    if name == STDIN:
        return _stdin()
    require(name)
    source = compiler.read(name)
    assert source is not None
    return source


def require(path: str | os.PathLike[str]) -> None:
    """Raises `CompileError` where there is no such file, with the nearest that there is; `-` is stdin."""
    name = os.fspath(path)
    if name != STDIN and not os.path.exists(name):
        folder = os.path.dirname(name)
        others = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
        close = nearest(os.path.basename(name), others)
        help = f"did you mean `{os.path.join(folder, close)}`?" if close else None
        raise CompileError([Diagnostic("E0701", "there is no such file", file=name, help=help)])


def _program_in(path: str | os.PathLike[str]) -> Source:
    """The text of a program. A file whose name says that it is something else is refused before it is read."""
    suffix = Path(path).suffix.lower()
    if suffix in ("", ".wsd"):
        return read_source(path)
    help = "programs are .wsd files, models .onnx files, weights .safetensors and .npz files"
    message = f"a {suffix} file is nothing that this works on"
    raise CompileError([Diagnostic("E0708", message, file=os.fspath(path), help=help)])


def _stdin() -> Source:
    data = sys.stdin.buffer.read()
    try:
        return Source("<stdin>", data.decode("utf-8"))
    except UnicodeDecodeError as error:
        message = f"the text on stdin is not UTF-8 (byte {error.start})"
        raise CompileError([Diagnostic("E0702", message, file="<stdin>")]) from None


def _source(path_or_source: str | os.PathLike[str] | Source) -> Source:
    """A text is told from a path by its line breaks or its braces."""
    if isinstance(path_or_source, Source):
        return path_or_source
    if isinstance(path_or_source, str) and ("\n" in path_or_source or "{" in path_or_source):
        return Source("<text>", path_or_source)
    return read_source(path_or_source)


# -- checking and formatting -------------------------------------------------------------------------------------------


def check(
    path_or_source: str | os.PathLike[str] | Source, *, dims: Mapping[str, int] | None = None
) -> list[Diagnostic]:
    """All findings of a file, or of the text of one, in the order of their places. Doesn't raise."""
    return list(examine(path_or_source, dims=dims)[0])


def examine(
    path_or_source: str | os.PathLike[str] | Source,
    *,
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
) -> tuple[Problems, Checked | None]:
    """All findings of a file, and the program as far as it was understood; `None` where it couldn't be read."""
    problems = Problems()
    try:
        program = compiler.check(_source(path_or_source), problems, Options(dims or {}, import_root=import_root))
        compiler.check_loads(program, problems)
        return problems, program
    except CompileError as error:
        for diagnostic in error.diagnostics:
            problems.add(diagnostic)
        return problems, None


def format(source: str | Source) -> str:
    """The text of a program in its one layout. Raises `CompileError` where it doesn't parse."""
    from wsdl.syntax.formatter import format_source

    problems = Problems()
    text = format_source(source if isinstance(source, Source) else Source("<text>", source), problems)
    if text is None:
        raise CompileError(problems)
    return text


# -- compiling ---------------------------------------------------------------------------------------------------------


def compile(
    path_or_source: str | os.PathLike[str] | Source,
    *,
    dims: Mapping[str, int] | None = None,
    loops: Loops = "auto",
    opset: int = 21,
    seed: int = 0,
    weights: Weights | None = None,
    import_root: str | None = None,
) -> Program:
    """The compiled program of a file, or of the text of one.

    `dims` gives run-time dimensions a value; `loops` says whether repeated layers become one body (`"loop"`) or nodes
    for each step (`"unroll"`); `seed` is that of the initial values. `load` statements and then `weights` replace them:
    a file, or a mapping from the name of a stored tensor or the path of any of its slots to an array.

    Raises `CompileError`, whose `diagnostics` are all findings, if there are errors.
    """
    if opset not in compiler.OPSETS:
        message = f"opset {opset} can't be written: it is from {compiler.OPSETS[0]} to {compiler.OPSETS[-1]}"
        raise CompileError([Diagnostic("E0704", message)])
    source = _source(path_or_source)
    options = Options(dims or {}, loops, opset, seed, import_root)
    problems = Problems()
    checked = compiler.check(source, problems, options)
    if not checked.models and not problems.errors:
        help = "a `model` is what compiles to a file; blocks are for import"
        problems.add(Diagnostic("E0219", "this file has no model", file=source.path, help=help))
    numbers = None if problems.errors else compiler.numbers(checked, problems, weights, options)
    if numbers is None or problems.errors:
        raise CompileError(problems)
    return Program(source, options, checked, numbers, list(problems))


class Program:
    """A checked program with the numbers of what it stores: `stored` by name, `drawn` the names of initial values."""

    def __init__(
        self,
        source: Source,
        options: Options,
        checked: Checked,
        numbers: compiler.Numbers,
        diagnostics: list[Diagnostic],
    ) -> None:
        self.source = source
        self.options = options
        self.diagnostics = diagnostics
        self.inventory: Inventory = inventory(checked)
        self.stored: Mapping[str, Array] = MappingProxyType(numbers.values)
        self.drawn = numbers.drawn
        self._checked = checked
        self._trainings: dict[str, TrainStep] | None = None  # made once: a step takes its training's graph

    def __repr__(self) -> str:
        return f"<wsdl.Program {self.source.path}: {', '.join(self.models)}>"

    @cached_property
    def models(self) -> Mapping[str, Model]:
        """The models by name, in the order of the file."""
        return {name: Model(name, self) for name in self._checked.models}

    def session(self, name: str | None = None, *, weights: Weights | None = None, device: str = "cpu") -> Session:
        """A model ready to run: `session(ids=ids)["logits"]`. `name` may be left out where there is one model only;
        `weights` replaces what is stored for this session."""
        return self._model(name).session(weights=weights, device=device)

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        model: str | None = None,
        proof: bool = False,
        train: bool = False,
    ) -> dict[str, Any]:
        """Write a compiled folder: `<model>.onnx` for each model (or one of them), one data file where they share their
        weights or are large, and `manifest.json`, which is also what is given back.

        All files appear at once. `proof` then has ONNX Runtime optimise each model and adds to the manifest how often
        each stored tensor is there before and after. `train` also writes the step of training of each model that has a
        `train` declaration: `<model>.train.onnx`, and `<model>.train.safetensors` with what the first step starts from.
        """
        from wsdl.onnx.atomic import write_files
        from wsdl.onnx.folder import manifest_writer, place_of, training_writers, writers
        from wsdl.onnx.manifest import manifest, with_proof
        from wsdl.onnx.proof import prove
        from wsdl.onnx.training import contract

        names = list(self.models) if model is None else [self._model(model).name]
        paths = {name: place_of(name, folder) for name in names}
        data = f"{Path(self.source.path).stem}.data" if len(names) > 1 else f"{names[0]}.onnx.data"
        values = self.values()
        files = writers({paths[n]: self.protos[n] for n in names}, values, Path(folder, data))
        o = self.options
        steps = self._steps(names) if train else {}
        for step in steps.values():
            files |= training_writers(step, folder, values, o.seed, opset=o.opset, source_sha256=self._digest)
        kept = self.inventory.of_models(names)
        written = manifest(self.source, kept, [p.name for p in files], self._checked.loops, seed=o.seed, opset=o.opset)
        if steps:
            written["training"] = {name: contract(step) for name, step in steps.items()}
        write_files({**manifest_writer(folder, written), **files})
        if proof:
            written = with_proof(written, {name: prove(path) for name, path in paths.items()})
            write_files(manifest_writer(folder, written))
        return written

    def _steps(self, names: list[str]) -> dict[str, TrainStep]:
        if self._trainings is None:
            self._trainings = compiler.train_steps(self._checked, self.options)
        steps = {name: step for name, step in self._trainings.items() if name in names}
        if not steps:
            help = "`train MODEL(targets) { loss …; optimizer … }` says how a model is trained"
            message = "nothing says how to train" + (f" `{names[0]}`" if len(names) == 1 else "")
            raise CompileError([Diagnostic("E0820", message, file=self.source.path, help=help)])
        return steps

    @property
    def _digest(self) -> str:
        return sha256(self.source.text.encode()).hexdigest()

    def _model(self, name: str | None) -> Model:
        if name is None and len(self.models) == 1:
            return next(iter(self.models.values()))
        if name is None or name not in self.models:
            raise CompileError([_no_model(name, list(self.models), self.source.path)])
        return self.models[name]

    # -- for the models ------------------------------------------------------------------------------------------------

    @cached_property
    def protos(self) -> Mapping[str, ModelProto]:
        """The ONNX model of each model, without the numbers of its stored tensors."""
        compiler.lower(self._checked, self.options)
        return compiler.emit(self._checked, self.stored, self.source, self.options)

    def values(self, weights: Weights | None = None) -> dict[str, Array]:
        """The number of every initializer: what is stored, and what is computed from it when compiling."""
        from wsdl.onnx.initial_values import with_derived
        from wsdl.onnx.weights import given_weights

        given: dict[str, Array] = {}
        if weights is not None:
            given = given_weights(self._checked, weights, partial=isinstance(weights, Mapping))
        assert self.protos  # lowering decides what is derived
        return with_derived(self._checked, {**self.stored, **given})


@dataclass(frozen=True)
class Model:
    """One model of a program: one entry point, one ONNX file."""

    name: str
    program: Program = field(repr=False)

    def session(self, *, weights: Weights | None = None, device: str = "cpu") -> Session:
        """The model ready to run; `weights` replaces what the program stores."""
        from wsdl.onnx.folder import INLINE, filled, stored_bytes
        from wsdl.runtime.session import Session

        values = self.program.values(weights)
        if stored_bytes(self._proto, values) <= INLINE:
            return Session(filled(self._proto, values).SerializeToString(), device=device)
        with TemporaryDirectory(prefix="wsdl-", ignore_cleanup_errors=True) as folder:  # mapped, so it may go at once
            path = os.path.join(folder, f"{self.name}.onnx")
            self._write(path, values)
            return Session(path, device=device)

    def save(self, path: str | os.PathLike[str]) -> list[Path]:
        """Write the model as one ONNX file, with a data file beside it if it is larger than 1 GiB; gives what was
        written. Files that were there are replaced, all at once."""
        return self._write(path, self.program.values())

    def _write(self, path: str | os.PathLike[str], values: Mapping[str, Array]) -> list[Path]:
        from wsdl.onnx.atomic import write_files
        from wsdl.onnx.folder import writers

        target = Path(path)
        files = writers({target: self._proto}, values, target.with_name(f"{target.name}.data"))
        write_files(files)
        return list(files)

    @property
    def _proto(self) -> ModelProto:
        return self.program.protos[self.name]

    @property
    def inputs(self) -> dict[str, TensorType]:
        """The types of its inputs by name."""
        return dict(self.program.inventory.models[self.name].inputs)

    @property
    def outputs(self) -> dict[str, TensorType]:
        """The types of its outputs by name."""
        return dict(self.program.inventory.models[self.name].outputs)


def _no_model(name: str | None, names: list[str], file: str) -> Diagnostic:
    listed = ", ".join(f"`{n}`" for n in names)
    if name is None:
        return Diagnostic("E0705", f"which of the {len(names)} models?", file=file, help=f"they are {listed}")
    close = nearest(name, names)
    help = f"did you mean `{close}`?" if close else f"the models are {listed}"
    return Diagnostic("E0705", f"there is no model `{name}`", file=file, help=help)


# -- running -----------------------------------------------------------------------------------------------------------


def open_model(
    path: str | os.PathLike[str],
    *,
    model: str | None = None,
    weights: Weights | None = None,
    device: str = "cpu",
    seed: int = 0,
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
) -> tuple[Session, list[Diagnostic]]:
    """A `.wsd` or `.onnx` file ready to run, and the warnings about it. An ONNX file has its weights in itself."""
    require(path)
    if Path(path).suffix.lower() == ".onnx":
        from wsdl.runtime.session import Session

        if weights is not None or dims or model is not None:
            message = "an ONNX file is run as it is, without `--model`, `--weights` and `--dim`"
            raise CompileError([Diagnostic("E0704", message, file=os.fspath(path))])
        return Session(Path(path), device=device), []
    program = compile(_program_in(path), dims=dims, seed=seed, weights=weights, import_root=import_root)
    return program.session(model, device=device), [*program.diagnostics, *_untrained(program)]


def _untrained(program: Program) -> list[Diagnostic]:
    """A warning where chance has drawn what should have been trained."""
    drawn = [name for name in program.drawn if program.inventory.stored[name].trainable]
    if not drawn:
        return []
    message = f"the weights are initial values: {len(drawn)} of {len(program.stored)} tensors have not been trained"
    help = "`--weights run/best.safetensors` takes trained ones"
    return [Diagnostic("W0701", message, file=program.source.path, help=help, severity="warning")]


# -- what is stored ----------------------------------------------------------------------------------------------------


def inspect(
    path: str | os.PathLike[str], *, dims: Mapping[str, int] | None = None, import_root: str | None = None
) -> Inventory:
    """What is stored in a program, in any ONNX file, or in a file of weights."""
    require(path)
    suffix = Path(path).suffix.lower()
    if suffix == ".onnx":
        from wsdl.onnx.inspect import inventory_of_onnx

        return inventory_of_onnx(path)
    if suffix in (".safetensors", ".npz"):
        from wsdl.onnx.inspect import inventory_of_weights

        return inventory_of_weights(path)
    return inventory(_checked(_program_in(path), dims, import_root))


def graph(
    path: str | os.PathLike[str],
    *,
    depth: int | None = None,
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
) -> str:
    """The picture of a program as DOT text; `depth` opens layers down to it."""
    from wsdl.ir.dot import dot
    from wsdl.ir.picture import picture

    return dot(picture(_checked(path, dims, import_root), depth))


def write_picture(dot: str, path: str | os.PathLike[str]) -> None:
    """Write DOT text, or for a `.svg` file the picture that Graphviz makes of it."""
    from wsdl.onnx.atomic import holding, write_file
    from wsdl.runtime.picture import svg_from_dot

    text = svg_from_dot(dot) if Path(path).suffix == ".svg" else dot
    write_file(os.fspath(path), holding(text.encode()))


def _checked(path: str | os.PathLike[str] | Source, dims: Mapping[str, int] | None, import_root: str | None) -> Checked:
    problems, checked = examine(path, dims=dims, import_root=import_root)
    if checked is None or problems.errors:
        raise CompileError(problems)
    return checked


# -- compiled folders --------------------------------------------------------------------------------------------------


def load(folder: str | os.PathLike[str], *, device: str = "cpu") -> dict[str, Session]:
    """Every model of a compiled folder by name.

    Models that point into one data file share its memory: the file is mapped, and the runtime is kept from making a
    packed copy of the weights for each of them (matrix products on few rows are then slower, on others not).
    """
    from wsdl.onnx.folder import models_in
    from wsdl.runtime.session import Session

    found = models_in(folder)
    return {name: Session(path, device=device, prepack=not shared) for name, (path, shared) in found.items()}

"""The whole way from text to an ONNX file, on one screen.

    text -> tree -> Checked -> Storage -> Lowered -> ONNX
        parse   check     store      lower      emit

`check` resolves names, types and shapes, `store` decides which tensors are stored; these two import neither NumPy nor
ONNX. `lower` copies the graphs for a target and runs the passes on them, `emit` writes ONNX. A stage is not changed by
the next one, so that one `Checked` serves many `Storage`s, and one `Storage` many targets. The values of the stored
tensors, drawn or loaded, are in `wsdl.weights`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wsdl.diagnostics import Diagnostic, Problems
from wsdl.diagnostics.span import Source
from wsdl.diagnostics.suggest import nearest
from wsdl.elaborate import elaborate
from wsdl.elaborate.check_dims import check_dims
from wsdl.elaborate.check_file_names import check_file_names
from wsdl.elaborate.records import Memory
from wsdl.elaborate.resolve import resolve
from wsdl.ir.graph import Lowered
from wsdl.ir.stages import BASE, Checked, Storage
from wsdl.ir.target import DEFAULT, Precision, Target
from wsdl.sharing.check_limits import check_limits
from wsdl.sharing.count_reads import count_reads
from wsdl.sharing.share import share
from wsdl.syntax.read import read_import

if TYPE_CHECKING:
    from onnx import ModelProto

    from wsdl.ir.inventory import ComputedTensor, Inventory
    from wsdl.ir.training_graphs import Evaluation, Parts, SplitStep, TrainStep
    from wsdl.weights.metadata import Provenance


@dataclass(frozen=True)
class SourceOptions:
    """Options of a source: `dims` are values of dynamic dimensions, `import_root` is the folder that imports may not
    leave (by default that of the file)."""

    dims: Mapping[str, int] = field(default_factory=dict)
    import_root: str | None = None


# -- text to stored tensors --------------------------------------------------------------------------------------------


def check(
    source: Source,
    problems: Problems,
    options: SourceOptions = SourceOptions(),
    read: Callable[[str], Source | None] = read_import,
    memory: Memory | None = None,
) -> Checked:
    """The checked program of a source, as far as it has no errors; diagnostics go to `problems`. Paths are resolved by
    `store`. `read` returns the source of an imported file, or `None` if there is none; `memory` makes the check of the
    next version of a text faster."""
    sources = {Path(source.path).name: source}

    def reading(path: str) -> Source | None:
        imported = read(path)
        if imported is not None:
            sources[posixpath.relpath(path, posixpath.dirname(source.path) or ".")] = imported
        return imported

    scope = resolve(source, problems, reading, options.import_root)
    if not problems.errors:
        check_dims(scope, options.dims, problems)
    program = replace(elaborate(scope, problems, options.dims, memory), sources=sources)
    check_file_names(scope, program, problems)
    return program if problems.errors else count_reads(program)


def store(program: Checked, problems: Problems, dtype: Precision = "f32") -> Storage | None:
    """The stored tensors of a program and the slots that read them; `None` if there are errors. Limits are checked
    against the sizes in `dtype`."""
    storage = share(program, problems)
    if storage is None:
        return None
    if program.trainings:
        from wsdl.training.check_training import check_training

        storage = check_training(storage, problems)
    models = storage.models
    if program.has_gradients:
        from wsdl.differentiation.check_gradients import expanded_models

        models = expanded_models(storage, problems)
    check_limits(storage.as_dtype(dtype), problems, models)
    return None if problems.errors else storage


def with_variant(program: Checked, name: str | None, problems: Problems) -> Checked:
    """A program with the statements of one of its variants, unchanged for `None`; reports an error if there is no such
    variant."""
    if name is None or name == BASE:
        return program
    if name in program.variants:
        return program.with_variant(name)
    if not program.doubtful:
        problems.add(_unknown_variant(name, program))
    return program


def _unknown_variant(name: str, program: Checked) -> Diagnostic:
    names, near = list(program.variants), nearest(name, [*program.variants, BASE])
    help = f"the variants are {', '.join(f'`{n}`' for n in names)}" if names else "the file declares none"
    return Diagnostic(
        "E0710",
        f"there is no variant `{name}`",
        file=next((source.path for source in program.sources.values()), None),
        help=f"did you mean `{near}`?" if near else help,
    )


def check_variants(program: Checked, problems: Problems) -> None:
    """Report the errors of the variants of a program that aren't already reported for the program itself: each once,
    with the variants that have it."""
    found: dict[Diagnostic, list[str]] = {}
    for name in program.variants:
        own = problems.copy()
        storage = store(program.with_variant(name), own)
        if storage is not None:
            check_loads(storage, own)
        for diagnostic in own.diagnostics[len(problems) :]:
            found.setdefault(diagnostic, []).append(name)
    for diagnostic, names in found.items():
        problems.add(replace(diagnostic, variants=tuple(names)))


def check_loads(storage: Storage, problems: Problems) -> None:
    """Check the `load`s of a program against the listings of their files, where these exist."""
    if storage.checked.loads:
        from wsdl.weights.loads import open_loads

        open_loads(storage, problems, missing=True)


def inventory(storage: Storage, target: Target = DEFAULT, *, written: bool = False) -> Inventory:
    """What a program stores and computes, with the types of inputs and outputs as `target` has them; with `written`
    what its files hold, which may be the values of formulas in place of what they are computed from."""
    from wsdl.ir.inventory import inventory

    computed: tuple[ComputedTensor, ...] = ()
    if storage.formulas:
        from wsdl.sharing.materialize import computed_tensors, written_out

        computed = computed_tensors(storage, target)
        storage = written_out(storage, target) if written else storage
    return replace(inventory(storage, target.io), computed=computed)


# -- stored tensors to graphs ------------------------------------------------------------------------------------------


def lower(storage: Storage, target: Target = DEFAULT) -> Lowered:
    """The models for a target, ready to be emitted."""
    from wsdl.pipelines.inference import lower

    return lower(storage, target)


def train_steps(storage: Storage, target: Target = DEFAULT) -> dict[str, TrainStep]:
    """The step of each training, by name; those that take turns have one state."""
    from wsdl.pipelines.training import train_step

    turns = storage.checked.turns
    together = storage.together(list(turns.counts)).trainings if turns is not None else {}
    steps = {n: train_step(storage, together.get(n, training), target) for n, training in storage.trainings.items()}
    for name in together:
        assert turns is not None
        steps[name].state = turns.kind
    return steps


def split_step(
    storage: Storage, training: str, target: Target = DEFAULT, *, parts: Parts = "none", piecewise: bool = False
) -> SplitStep:
    """The step of one training in two phases, gradients and update. `parts`: whether a batch is computed in parts;
    `piecewise`: large tensors are updated piece by piece."""
    from wsdl.pipelines.training import split_step

    return split_step(storage, storage.trainings[training], target, parts=parts, piecewise=piecewise)


def evaluation(storage: Storage, training: str, target: Target = DEFAULT) -> Evaluation:
    """The evaluation of one training."""
    from wsdl.pipelines.training import evaluation

    return evaluation(storage, storage.trainings[training], target)


# -- graphs to files ---------------------------------------------------------------------------------------------------


def provenance(storage: Storage, source: Source) -> Provenance:
    """The origin of a compiled file, for its metadata."""
    from wsdl.ir.inventory import ways
    from wsdl.sharing.reading_texts import formula_texts
    from wsdl.weights.metadata import Provenance

    return Provenance(source.sha256, storage.checked.variant, formula_texts(storage), ways(storage))


def emit(program: Lowered, provenance: Provenance, target: Target = DEFAULT) -> dict[str, ModelProto]:
    """The ONNX model of each model of a lowered program, without the values of its stored tensors."""
    from wsdl.onnx.emit import structure

    return {
        name: structure(program, model, opset=target.opset, provenance=provenance)
        for name, model in program.models.items()
    }

"""Random gradients as values: of one tensor of a model, or what is stored for a parameter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import Random

import torch
from torch import Tensor

from tests.programs.data import as_tensors, inputs
from tests.programs.description import Assign, Description, Expr, Layer, Model, Param, Size, Slot, Type, expr, variable
from tests.programs.storage import Storage
from tests.programs.twin import NOT_COMPUTED, Frame, Machine, Twin

NAMES = ("slope0", "slope1")


def gradients(program: Description, random: Random, seed: int) -> Description:
    """The program with derivatives among the outputs of a model, where they aren't 0."""
    if random.random() < 0.6 or program.dtype == "f16":
        return program
    drawn = replace(program, has_gradients=True)
    model = random.choice(program.models)
    ran = Machine(Storage(program.groups, program.formulas, seed))
    try:
        batch = as_tensors(inputs(program, model.name, program.sizes[0], seed))
        frame = Twin(drawn, ran).frame(model.name, batch, program.sizes[0])
    except NOT_COMPUTED:
        return program
    found = []
    for derivative in random.sample(candidates := [*_of(model, frame)], min(len(candidates), 6)):
        value = derivative.torch(frame, *(frame.value(arg) for arg in derivative.args))
        if value is not None and bool(torch.isfinite(value).all()) and bool((value != 0).any()):
            found.append(derivative)
    if not found:
        return program
    new = tuple(zip(NAMES, found, strict=False))
    body = (*model.body, *(Assign((name,), derivative) for name, derivative in new))
    outputs = (*model.outputs, *((f"{name}_out", variable(name, derivative.type)) for name, derivative in new))
    changed = replace(model, body=body, outputs=outputs)
    return replace(drawn, models=tuple(changed if m is model else m for m in program.models))


def _of(model: Model, frame: Frame) -> Iterator[Expr]:
    """Derivatives of each output that is a float, by names of the body and by parameters of its layers."""
    names = _floats(model)
    storage = frame.machine.storage
    declared = {statement.name for statement in model.body if isinstance(statement, Layer | Param)}
    for _, value in model.outputs:
        if value.text in names and not value.args:
            for name in (n for n in names if n != value.text):
                yield _by_tensor(value.text, names[value.text], name, names[name])
            for path, slot in storage.slots.items():
                below = path.removeprefix(f"{model.name}.")
                if (
                    below != path
                    and re.split(r"[.\[]", below)[0] in declared
                    and not slot.is_state
                    and not storage.is_computed(path)
                    and slot.shape
                ):
                    yield _by_parameter(value, below, slot)


def _floats(model: Model) -> Mapping[str, Type]:
    """Names of the model with floats that are bound once."""
    bound = [*model.inputs]
    bound += [(s.names[0], s.value.type) for s in model.body if isinstance(s, Assign) and len(s.names) == 1]
    counts = {name: sum(name == other for other, _ in bound) for name, _ in bound}
    return {name: type for name, type in sorted(bound, key=lambda b: b[0]) if counts[name] == 1 and type.is_float}


def _by_tensor(y: str, of: Type, x: str, type: Type) -> Expr:
    def run(_: Frame, value: Tensor, by: Tensor) -> Tensor | None:
        return _gradient(value, by)

    return expr(type, "gradient(sum({0} ** 2), {1})", run, variable(y, of), variable(x, type))


def _by_parameter(y: Expr, path: str, slot: Slot) -> Expr:
    """The derivative with regard to the whole stored tensor, in the shape of the slot."""

    def run(frame: Frame, value: Tensor) -> Tensor | None:
        storage = frame.machine.storage
        found = _gradient(value, storage.leaves[storage.owner(slot.path)])
        return None if found is None else storage.as_slot(slot.path, found)

    type = Type(y.type.dtype, tuple(map(Size, slot.shape)))
    return expr(type, f"gradient(sum({{0}} ** 2), {path})", run, y)


def _gradient(y: Tensor, x: Tensor) -> Tensor | None:
    if not y.requires_grad or not x.requires_grad:
        return None
    return torch.autograd.grad((y**2).sum(), x, create_graph=True, allow_unused=True)[0]

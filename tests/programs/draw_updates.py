"""What a random training changes without gradients: `update` lines, carried inputs, layers frozen in a mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.programs.description import Carry, Description, Expr, Size, Slot, Train, Type, Update, expr, variable
from tests.programs.storage import Storage
from tests.programs.twin import Frame, Machine

N = Size(0, "n")


def updates(program: Description, train: Train, free: Sequence[Slot], random: Random) -> tuple[Update, ...]:
    """Updates of some parameters that no other slot reads."""
    targets = random.sample(list(free), min(len(free), random.choice([0, 0, 1, 2])))
    return tuple(
        Update(_below(train, target), _value(program, train, target, free, random), random.choice([1, 1, 2]))
        for target in targets
    )


def _below(train: Train, slot: Slot) -> str:
    return slot.path.removeprefix(f"{train.model}.")


def _value(program: Description, train: Train, target: Slot, free: Sequence[Slot], random: Random) -> Expr:
    dtype, shape = program.dtype, tuple(map(Size, target.shape))

    def parameter(slot: Slot) -> Expr:
        return variable(_below(train, slot), Type(dtype, tuple(map(Size, slot.shape))))

    own = parameter(target)
    other = parameter(random.choice([slot for slot in free if slot.shape == target.shape]))
    step = variable("step", Type("f32"))
    ways: list[tuple[str, Callable[..., Tensor], Sequence[Expr]]] = [
        ("0.9 * {0} + 0.1 * {1}", lambda a, b: 0.9 * a + 0.1 * b, [own, other]),
        ("clip({0}, min=-0.3, max=0.3)", lambda a: a.clamp(-0.3, 0.3), [own]),
        ("{0}", lambda a: a, [other]),
    ]
    if len(shape) > 1:
        ways.append(("l2_normalize({0}, axis=-1)", lambda a: F.normalize(a, dim=-1), [own]))
    if dtype == "f32":
        ways.append(("{0} * (1 - 0.5 / (1 + {1}))", lambda a, b: a * (1 - 0.5 / (1 + b)), [own, step]))
    for name, value in program.model(train.model).outputs:
        out = variable(name, value.type)
        if value.type.dtype == dtype and value.type.shape[:1] == (N,):
            ways.append(("0.9 * {0} + 0.1 * mean({1})", lambda a, b: 0.9 * a + 0.1 * b.mean(), [own, out]))
            if value.type.shape[1:] == shape:
                ways.append(("{0} + 0.1 * mean({1}, axis=0)", lambda a, b: a + 0.1 * b.mean(0), [own, out]))
    text, meaning, args = random.choice(ways)
    return expr(own.type, text, lambda _, *v: meaning(*v), *args)


def carries(program: Description, train: Train, random: Random) -> tuple[Carry, ...]:
    """An input that is carried from step to step, where an output has its type."""
    model = program.model(train.model)
    given = [*model.inputs, *train.targets]
    pairs = [
        (name, type, output)
        for name, type in model.inputs
        for output, value in model.outputs
        if value.type == type and type.is_float and type.shape[:1] == (N,)
        if {size.name for size in type.shape} <= _sizes(other for called, other in given if called != name)
        if any(other.shape[:1] == (N,) for called, other in given if called != name)
    ]
    if not pairs or random.random() < 0.4:
        return ()
    name, type, output = random.choice(pairs)
    sizes = ", ".join(map(str, type.shape))
    suffix = "" if type.dtype == "f32" else f", dtype={type.dtype}"
    call, number = random.choice([("zeros", 0.0), ("ones", 1.0)])

    def first(frame: Frame) -> Tensor:
        return torch.full([size.value(frame.sizes) for size in type.shape], number, dtype=torch.float64)

    return (Carry(name, expr(type, f"{call}([{sizes}]{suffix})", first), output),)


def _sizes(types: Iterable[Type]) -> set[str]:
    return {"", *(size.name for type in types for size in type.shape if size.factor == 1 and not size.offset)}


def modes(storage: Storage, free: Sequence[Slot], train: Train, random: Random) -> tuple[tuple[str, str], ...]:
    """A layer with statistics that is frozen, where nothing else reads what it has."""
    states = [slot.path for slot in storage.slots.values() if slot.is_state and slot.path.startswith(f"{train.model}.")]
    layers = sorted({path.rpartition(".")[0] for path in states})
    whole = {slot.path for slot in free}
    fitting = [layer for layer in layers if {f"{layer}.weight", f"{layer}.bias"} <= whole]
    if not fitting or random.random() < 0.5:
        return ()
    return ((random.choice(fitting).removeprefix(f"{train.model}."), random.choice(["eval", "train"])),)


def written(train: Train, machine: Machine, frame: Frame, after: Mapping[str, Tensor], step: int) -> dict[str, Tensor]:
    """What updates make of parameters, by path, in the `step`th step (from 1); `after` has all that they read, as it is
    after the step of the optimizer."""
    seen = Frame(frame.module, {**frame.values, **after, "step": torch.tensor(float(step))}, dims=frame.dims)
    with torch.no_grad(), machine.rounding():
        return {u.path: seen.value(u.value) for u in train.updates if step % u.every == 0}

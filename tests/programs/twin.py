"""The evaluation of a description in PyTorch, in f64, statement by statement.

It shares nothing with the compiler: not its graph, nor its rules of shapes, its references or its way of sharing. With
`noise` every elementary step of it, forward and backward, is off by a random share of its result: how far the results
then move is how much of the difference to a run in fewer bits its rounding explains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tests.programs.description import (
    Assign,
    Block,
    Count,
    Description,
    Expr,
    For,
    If,
    Layer,
    Made,
    Param,
    Run,
    Scan,
    Statement,
)
from tests.programs.rounding import Rounding
from tests.programs.storage import Storage

NOT_COMPUTED = (RuntimeError, IndexError, ValueError, ZeroDivisionError)  # in PyTorch, as of an empty maximum


@dataclass
class Machine:
    """What all frames of one evaluation have in common. `largest` is the largest number that came up.

    Random numbers depend on `run_seed`, on `step`, on the name of the `training` where it isn't that of
    the model, on the steps of the `scans` around, and on how often they were `drawn` at a path by an operation.
    """

    storage: Storage
    noise: float = 0.0
    stored_noise: float = 0.0  # of what is stored, beside that
    least: float = 0.0  # what any number but 0 may be off by, whatever its size
    noise_seed: int = 0
    is_training: bool = False
    largest: float = 0.0
    statistics: dict[str, Tensor] = field(default_factory=dict)  # what batches make of states, by path
    frozen: frozenset[str] = frozenset()
    modes: Mapping[str, str] = field(default_factory=dict)  # of frozen layers, by path
    run_seed: int = 0
    step: int = 0
    training: str = ""
    scans: tuple[int, ...] = ()
    drawn: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._generator = torch.Generator().manual_seed(self.noise_seed)

    def mode(self, path: str) -> str:
        """In which mode a layer is frozen; empty if it isn't."""
        return next((mode for layer, mode in self.modes.items() if f"{path}.".startswith(f"{layer}.")), "")

    def rounding(self) -> AbstractContextManager[object]:
        """While it is entered, what is computed, forward or backward, is off as on a machine with few bits."""
        return Rounding(self._rounded) if self.noise else nullcontext()

    def seen(self, x: Any) -> Any:
        """A value as it is, after a look at how large it is."""
        for each in x if isinstance(x, tuple) else (x,):
            if isinstance(each, Tensor) and each.is_floating_point() and each.numel():
                self.largest = max(self.largest, float(each.detach().abs().nan_to_num(posinf=1e300).max()))
        return x

    def read(self, x: Tensor) -> Tensor:
        """An input or a parameter, as a machine with fewer bits reads it."""
        self.seen(x)
        if not self.noise or not x.is_floating_point():
            return x
        return x * (1 + self._random(x, self.stored_noise))  # which rounds as any product does

    def _rounded(self, x: Tensor) -> Tensor:
        rounded = x * (1 + self._random(x, self.noise))
        return rounded + self._random(x, self.least) * (x != 0) if self.least else rounded

    def _random(self, x: Tensor, size: float) -> Tensor:
        """Numbers up to `size`, of the shape of `x`."""
        return size * (2 * torch.rand(x.shape, generator=self._generator, dtype=x.dtype) - 1)


class Module:
    """A layer: its slots below its path, its inner layers by name."""

    def __init__(self, path: str, machine: Machine, run: Run | None = None) -> None:
        self.path, self.machine, self.run = path, machine, run
        self.children: dict[str, Any] = {}
        self.inline: dict[Any, Module] = {}
        self.counts: dict[str, int] = {}

    def __call__(self, *xs: Any) -> Any:
        assert self.run is not None
        return self.machine.seen(self.run(self, *xs))

    def below(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def param(self, name: str, *shape: int, kind: str = "weight") -> Tensor:
        """A slot as it is read here."""
        path = self.below(name)
        read = self.machine.storage.read(path, shape, kind, self.machine.read)
        if path in self.machine.statistics:
            read = self.machine.statistics[path]
        if path in self.machine.frozen or self.machine.mode(path):
            read = read.detach()
        return self.machine.read(read)

    def child(self, name: str, run: Run) -> Module:
        """A layer with a name, made when first asked for."""
        if name not in self.children:
            self.children[name] = Module(self.below(name), self.machine, run)
        found: Module = self.children[name]
        return found

    def written_inline(self, key: Any, wanted: str, run: Run) -> Module:
        """A layer without a name: that of its block, counted."""
        if key not in self.inline:
            self.counts[wanted] = count = self.counts.get(wanted, 0) + 1
            self.inline[key] = Module(self.below(wanted if count == 1 else f"{wanted}_{count}"), self.machine, run)
        return self.inline[key]


@dataclass
class Frame:
    """The names of a body that is being run."""

    module: Module
    values: dict[str, Any] = field(default_factory=dict)
    layers: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    dims: dict[str, int] = field(default_factory=dict)
    steps: tuple[int, ...] = ()  # of the `for`s around

    @property
    def machine(self) -> Machine:
        return self.module.machine

    def inner(self) -> Frame:
        """A body in this one: what it binds anew is bound here, what it adds ends with it."""
        return Frame(self.module, dict(self.values), dict(self.layers), dict(self.numbers), self.dims, self.steps)

    def take(self, inner: Frame) -> None:
        for name in self.values:
            self.values[name] = inner.values[name]

    @property
    def sizes(self) -> Mapping[str, int]:
        return {**self.dims, **self.numbers}

    def value(self, expr: Expr) -> Any:
        return self.machine.seen(expr.torch(self, *(self.value(arg) for arg in expr.args)))

    # -- steps of a scan -----------------------------------------------------------------------------------------------

    def run_step(self, number: int, body: Sequence[Statement], before: Mapping[tuple[str, str], int]) -> None:
        """A step of a scan. All of its steps draw at the same places, behind what was drawn `before`."""
        machine = self.machine
        machine.drawn = Counter(before)
        machine.scans = (*machine.scans, number)
        self.run(body)
        machine.scans = machine.scans[:-1]

    def only_count_draws(self, body: Sequence[Statement]) -> None:
        """Of a scan that makes no step."""
        scans = self.machine.scans
        with suppress(*NOT_COMPUTED):
            self.run_step(0, body, self.machine.drawn)
        self.machine.scans = scans

    # -- statements ----------------------------------------------------------------------------------------------------

    def run(self, body: Sequence[Statement]) -> None:
        for statement in body:
            self._run(statement)

    def _run(self, statement: Statement) -> None:
        match statement:
            case Assign((name,), value):
                self.values[name] = self.value(value)
            case Assign(names, value):
                self.values.update(zip(names, self.value(value), strict=True))
            case Layer(name):
                self.layers[name] = self._layers(statement)
            case Param(name, type):
                self.values[name] = self.module.param(name, *(size.value(self.sizes) for size in type.shape))
            case For(name, _, items, body):
                for step, item in enumerate(items(self)):
                    inner = self.inner()
                    inner.steps = (*self.steps, step)
                    (inner.layers if isinstance(item, Module) else inner.numbers)[name] = item
                    inner.run(body)
                    self.take(inner)
            case If(_, holds, then, otherwise):
                inner = self.inner()
                inner.run(then if holds(self) else otherwise)
                self.take(inner)
            case Scan():
                self._scan(statement)
            case Count():
                self._count(statement)

    def _layers(self, layer: Layer) -> Any:
        if not layer.is_array:
            return self.module.child(layer.name, layer.made[0].start(self))
        made = layer.made * (layer.count or 1) if layer.count is not None else layer.made
        return [self.module.child(f"{layer.name}[{i}]", each.start(self)) for i, each in enumerate(made)]

    def _scan(self, scan: Scan) -> None:
        sequences = {name: self.value(source) for name, source in scan.sequences}
        carried = {name: self.value(start) for name, start in scan.carried}
        length = scan.along.value(self.sizes)
        order = range(length - 1, -1, -1) if scan.is_reverse else range(length)
        rows: dict[int, list[Tensor]] = {}
        drawn = self.machine.drawn
        if not length:
            inner = self.inner()
            inner.values.update({name: value.sum(scan.axis) for name, value in sequences.items()})
            inner.values.update(carried)
            inner.only_count_draws(scan.body)
        for step in order:
            inner = self.inner()
            inner.values.update({name: value.select(scan.axis, step) for name, value in sequences.items()})
            inner.values.update(carried)
            inner.run_step(step, scan.body, drawn)
            carried = {name: inner.values[name] for name in carried}
            rows[step] = [inner.value(value) for value in scan.emits]
        self._bind_last(carried)
        for i, target in enumerate(scan.targets):
            self.values[target] = torch.stack([rows[step][i] for step in range(length)], scan.axis)

    def _bind_last(self, carried: Mapping[str, Tensor]) -> None:
        """Bind what a scan carried to its last values, which are other tensors for gradients, also if no step changes
        them."""
        self.values.update({name: value.clone() for name, value in carried.items()})

    def _count(self, count: Count) -> None:
        carried = {name: self.value(start) for name, start in count.carried}
        rows: list[list[Tensor]] = []
        drawn = self.machine.drawn
        if not count.steps:
            inner = self.inner()
            inner.values.update(carried)
            inner.numbers[count.name] = 0
            inner.only_count_draws(count.body)
        for step in range(count.steps):
            inner = self.inner()
            inner.values.update(carried)
            inner.numbers[count.name] = step
            inner.run_step(step, count.body, drawn)
            carried = {name: inner.values[name] for name in carried}
            rows.append([inner.value(value) for value in count.emits])
        self._bind_last(carried)
        self.values.update(zip(count.targets, map(torch.stack, zip(*rows, strict=True)), strict=True))


def of_block(block: Block, settings: Mapping[str, Any]) -> Made:
    """A layer of a block of the program. Settings are sizes of the frame where it is made."""

    def start(frame: Frame) -> Run:
        numbers = {
            name: settings[name].value(frame.sizes) if name in settings else default for name, default in block.settings
        }

        def run(module: Module, *xs: Tensor) -> Any:
            dims: dict[str, int] = {}
            for x, (_, type) in zip(xs, block.inputs, strict=True):
                dims |= {size.name: x.shape[axis] for axis, size in enumerate(type.shape) if size.name}
            inner = Frame(module, numbers=dict(numbers), dims=dims)
            inner.values.update({name: x for x, (name, _) in zip(xs, block.inputs, strict=True)})
            inner.run(block.body)
            results = tuple(inner.value(result) for result in block.results)
            return results if len(results) > 1 else results[0]

        return run

    written = ", ".join(f"{name}={value}" for name, value in settings.items())
    reads = frozenset(value.name for value in settings.values() if value.name)
    return Made(f"{block.name}({written})", start, reads)


# -- the whole ---------------------------------------------------------------------------------------------------------


class Twin:
    """A program ready to be evaluated; its modules, and so the layers of the file, are those of all its models."""

    def __init__(self, program: Description, machine: Machine) -> None:
        self.program, self.machine = program, machine
        self.root = Module("", machine)
        file = Frame(self.root)
        file.run(program.layers)
        self._layers = file.layers
        self._modules: dict[str, Module] = {}

    def frame(self, name: str, inputs: Mapping[str, Tensor], dims: Mapping[str, int]) -> Frame:
        """The frame of a model that was run, with its outputs among its names."""
        model = self.program.model(name)
        module = self._modules.setdefault(name, Module(name, self.machine))
        frame = Frame(module, layers=dict(self._layers), dims=dict(dims))
        self.machine.drawn.clear()
        frame.values.update({n: self._input(inputs[n]) for n, _ in model.inputs})
        frame.run(model.body)
        frame.values.update({n: frame.value(value) for n, value in model.outputs})
        return frame

    def _input(self, x: Tensor) -> Tensor:
        is_variable = self.program.has_gradients and x.is_floating_point()
        return self.machine.read(x.detach().requires_grad_() if is_variable else x)

    def outputs(self, name: str, inputs: Mapping[str, Tensor], dims: Mapping[str, int]) -> dict[str, Tensor]:
        frame = self.frame(name, inputs, dims)
        return {n: frame.values[n] for n, _ in self.program.model(name).outputs}


def arrays_of(arrays: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """NumPy's arrays as PyTorch's, floating-point ones in f64."""
    for name, array in arrays.items():
        x = torch.from_numpy(array)
        yield name, x.double() if x.is_floating_point() else x

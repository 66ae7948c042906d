"""A random training of a model: what is minimized and measured, by which optimizer, and what stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.programs.chance import random_numbers
from tests.programs.data import arrays, as_tensors, evaluated, inputs
from tests.programs.description import Assign, Description, Expr, Layer, Model, Size, Train, Type, expr, variable
from tests.programs.draw_updates import carries, modes, updates
from tests.programs.storage import Storage
from tests.programs.twin import Frame, Machine, Twin

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse({0}, {1})": lambda a, b: ((a - b) ** 2).mean(),
    "mae({0}, {1})": lambda a, b: (a - b).abs().mean(),
    "huber({0}, {1})": F.huber_loss,
    "mean(({0} - {1}) ** 2)": lambda a, b: ((a - b) ** 2).mean(),
    "0.1 * mean(({0} - {1}) ** 4)": lambda a, b: 0.1 * ((a - b) ** 4).mean(),
    "mean(abs({0} - {1})) + 0.1 * mean({0} ** 2)": lambda a, b: (a - b).abs().mean() + 0.1 * (a**2).mean(),
    "bce_with_logits({0}, sigmoid({1}))": lambda a, b: F.binary_cross_entropy_with_logits(a, b.sigmoid()),
    "mean(softplus({0}) - {0} * {1})": lambda a, b: (F.softplus(a) - a * b).mean(),
    "0.1 * sum(({0} - {1}) ** 2)": lambda a, b: 0.1 * ((a - b) ** 2).sum(),
    "log(1 + mean(({0} - {1}) ** 2))": lambda a, b: (1 + ((a - b) ** 2).mean()).log(),
    "sqrt(mean(({0} - {1}) ** 2) + 0.01)": lambda a, b: (((a - b) ** 2).mean() + 0.01).sqrt(),
    "0.1 * max(abs({0} - {1}))": lambda a, b: 0.1 * (a - b).abs().max(),
    "mean(abs({0} - {1})) / (1 + mean(abs({1})))": lambda a, b: (a - b).abs().mean() / (1 + b.abs().mean()),
}
MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean(abs({0} - {1}))": lambda a, b: (a - b).abs().mean(),
    "sqrt(mean(({0} - {1}) ** 2))": lambda a, b: ((a - b) ** 2).mean().sqrt(),
    "mean({0} > {1})": lambda a, b: (a > b).double().mean(),
    "sum({0} - {1})": lambda a, b: (a - b).sum(),
    "max(abs({0} - {1}))": lambda a, b: (a - b).abs().max(),
    "min({0})": lambda a, b: a.min(),
    "1 - mean(({0} - {1}) ** 2) / (0.1 + var({1}))": lambda a, b: (
        1 - ((a - b) ** 2).mean() / (0.1 + b.var(correction=0))
    ),
    "mean({0} * {1}) - mean({0}) * mean({1})": lambda a, b: (a * b).mean() - a.mean() * b.mean(),
    "sum(mean(({0} - {1}) ** 2, axis=0))": lambda a, b: ((a - b) ** 2).mean(0).sum(),
    "logsumexp({0})": lambda a, b: a.reshape(-1).logsumexp(0),
    "var({0} - {1})": lambda a, b: (a - b).var(correction=0),
}


def training(program: Description, random: Random, seed: int, dtype: str) -> Description:
    """The program with a training, or with two that take turns, where something in it can be trained."""
    if random.random() < 0.2:
        return program
    names = ["first", "second"] if random.random() < 0.2 else [""]
    trains = tuple(train for name in names if (train := _training(program, random, seed, dtype, name)) is not None)
    if len(trains) < 2:
        return replace(program, trains=tuple(replace(train, called="") for train in trains))
    kind, counts = random.choice(["turns", "turns", "mix"]), [random.choice([1, 1, 2]) for _ in trains]
    turns = ", ".join(f"{train.name} {count}" for train, count in zip(trains, counts, strict=True))
    return replace(program, trains=trains, turns=f"{kind} {{ {turns} }}")


def _training(program: Description, random: Random, seed: int, dtype: str, called: str) -> Train | None:
    model = random.choice(program.models)
    outputs = [(name, value.type) for name, value in model.outputs if value.type.dtype == dtype]
    if not outputs:
        return None
    losses, metrics, targets = [], [], dict[str, Type]()
    for i in range(random.choice([1, 1, 2])):
        losses.append(_loss(random, *random.choice(outputs), i, targets))
    for i in range(random.choice([0, 1, 1, 2])):
        name, type = random.choice(outputs)
        text, measure = random.choice([*MEASURES.items()])
        if type.rank == 0 and "axis" in text:
            continue
        targets["y0"] = targets.get("y0", type)
        if targets["y0"] != type:
            continue
        read = variable(name, type), variable("y0", type)
        metrics.append((f"metric{i}", expr(Type("f32"), text, lambda _, a, b, f=measure: f(a, b), *read)))
    if random.random() < 0.3 and (punished := _punished(model, random)):
        losses.append(punished)
    train = Train(
        model.name, tuple(targets.items()), tuple(losses), tuple(metrics), *_optimizer(random, dtype), called=called
    )
    return _with_paths(program, train, random, seed) if _is_trained(program, train, seed) else None


def _loss(random: Random, name: str, type: Type, number: int, targets: dict[str, Type]) -> Expr:
    """A loss on an output, and its target among the targets."""
    out = variable(name, type)
    classes = type.shape[-1].number if type.rank > 1 else None
    if classes and classes > 1 and random.random() < 0.4:
        label = Type("i64", type.shape[:-1])
        targets[f"label{number}"] = label
        text, smoothing = random.choice([("", 0.0), (", label_smoothing=0.1", 0.1)])

        def entropy(_: Frame, logits: Tensor, labels: Tensor) -> Tensor:
            rows, at = logits.reshape(-1, classes), labels.reshape(-1) % classes
            return F.cross_entropy(rows, at, label_smoothing=smoothing)

        at = expr(label, f"{{0}} % {classes}", lambda _, v: v % classes, variable(f"label{number}", label))
        return expr(Type("f32"), f"cross_entropy({{0}}, {{1}}{text})", entropy, out, at)
    key = f"y{number}"
    if targets.setdefault(key, type) != type:
        key = f"y{number}b"
        targets[key] = type
    target = variable(key, type)
    if type.rank > 1 and type.shape[0] == Size(0, "n") and random.random() < 0.15:  # a number for each row
        axes = list(range(1, type.rank))
        per_row = lambda _, a, b: ((a - b) ** 2).mean(axes).mean()  # noqa: E731  # beside its text
        return expr(Type("f32"), f"mean(({{0}} - {{1}}) ** 2, axis={axes})", per_row, out, target)
    text, loss = random.choice([*LOSSES.items()])
    if text.count("{0}") == 1 and random.random() < 0.3:  # of the seed of the run
        noise = random_numbers("random_normal", type.shape, type.dtype)
        out = expr(type, "({0} + 0.1 * {1})", lambda _, a, r: a + 0.1 * r, out, noise)
    return expr(Type("f32"), text, lambda _, a, b: loss(a, b), out, target)


def _punished(model: Model, random: Random) -> Expr | None:
    read = [name for s in model.body if isinstance(s, Assign) for name in s.value.all_reads]
    layers = [
        s.name for s in model.body if isinstance(s, Layer) and not s.is_array and s.made[0].text.startswith("Dense(")
    ]
    layers = [name for name in layers if name in read]
    if not layers:
        return None
    name = random.choice(layers)

    def size(frame: Frame) -> Tensor:
        module = frame.layers[name]
        slot = module.machine.storage.slots[module.below("weight")]
        weight: Tensor = module.param("weight", *slot.shape)
        return 0.01 * (weight**2).sum()

    return expr(Type("f32"), f"0.01 * sum({name}.weight ** 2)", size, reads=name)


def _optimizer(random: Random, dtype: str) -> tuple[str, dict[str, object]]:
    name = random.choice(["SGD", "SGD", "Adam", "AdamW", "RMSprop", "Lion"] if dtype != "f16" else ["SGD", "Lion"])
    settings: dict[str, object] = {"lr": random.choice([0.1, 0.01])}
    if name in ("SGD", "RMSprop") and random.random() < 0.5:
        settings["momentum"] = 0.9
        if name == "SGD" and random.random() < 0.5:
            settings["nesterov"] = True
    if random.random() < 0.4:
        settings["weight_decay"] = 0.05
    if random.random() < 0.3:
        settings[random.choice(["clip_norm", "clip_value"])] = random.choice([0.05, 1.0])
    return name, settings


def _is_trained(program: Description, train: Train, seed: int) -> bool:
    """Does each loss have a finite value and depend on something that is trained?"""
    ran = step(program, train, seed)
    return ran is not None and all(ran.is_trained(loss) and bool(torch.isfinite(loss)) for loss in ran.losses)


def _with_paths(program: Description, train: Train, random: Random, seed: int) -> Train:
    """The training with some slots frozen, as long as each loss still depends on something, others with a rate of their
    own, and what changes without gradients."""
    storage = evaluated(program, seed).storage
    tied = {storage.owner(path) for path in storage.ties} | storage.ties.keys()
    for formula in program.formulas:
        tied |= {slot.path for slot in (formula.target, *formula.sources)}
    below = f"{train.model}."
    slots = [slot for slot in storage.slots.values() if slot.path.startswith(below) and slot.path not in tied]
    free = [slot for slot in slots if not slot.is_state]
    paths = [slot.path.removeprefix(below) for slot in free]
    freezable = [] if program.has_gradients else paths
    chosen = tuple(sorted(random.sample(freezable, min(len(freezable), random.choice([0, 0, 1, 2])))))
    still = () if program.has_gradients else modes(storage, free, train, random)
    for frozen in (replace(train, freezes=chosen), replace(train, modes=still)):
        if frozen != train and _is_trained(program, frozen, seed):
            train = frozen
            break
    others = [path for path in paths if path not in train.freezes and not _is_frozen(train, path)]
    rates = tuple((path, 0.05) for path in random.sample(others, min(len(others), random.choice([0, 0, 0, 1]))))
    train = replace(train, rates=rates, updates=updates(program, train, free, random))
    carried = replace(train, carries=carries(program, train, random))
    return carried if _is_trained(program, carried, seed) and _changes(program, carried, seed) else train


def _changes(program: Description, train: Train, seed: int) -> bool:
    """Is each carried input another tensor in the next step?"""
    ran = step(program, train, seed)
    return ran is not None and all(ran.frame.values[c.following] is not ran.frame.values[c.name] for c in train.carries)


def _is_frozen(train: Train, path: str) -> bool:
    return any(path.startswith(f"{layer}.") for layer, _ in train.modes)


class Step:
    """The losses and metrics of one batch in the twin, with the machine that computed them."""

    def __init__(self, machine: Machine, losses: list[Tensor], metrics: dict[str, Tensor], frame: Frame) -> None:
        self.machine, self.losses, self.metrics, self.frame = machine, losses, metrics, frame

    def is_trained(self, loss: Tensor) -> bool:
        """Does it depend on something that is trained?"""
        leaves = [leaf for leaf in self.machine.storage.leaves.values() if leaf.requires_grad]
        if not loss.requires_grad or not leaves:
            return False
        found = torch.autograd.grad(loss.sum(), leaves, retain_graph=True, allow_unused=True)
        return any(gradient is not None for gradient in found)

    @property
    def loss(self) -> Tensor:
        return torch.stack([loss.reshape(()) for loss in self.losses]).sum()


def step(
    program: Description,
    train: Train,
    seed: int,
    *,
    stored: Mapping[str, Tensor] = {},
    carried: Mapping[str, Tensor] = {},
    is_training: bool = True,
    **machine: object,
) -> Step | None:
    """The objective of a training on its usual sizes; `None` where it can't be computed. `stored` has tensors that
    differ from the initial ones by the paths of their owners, `carried` the carried inputs unless it's the first step
    on a batch."""
    dims = dict(program.sizes[0])
    frozen = {f"{train.model}.{path}" for path in train.freezes}
    modes = {f"{train.model}.{path}": mode for path, mode in train.modes}
    settings = {"is_training": is_training, "frozen": frozenset(frozen), "modes": modes, "training": train.called}
    ran = Machine(Storage(program.groups, program.formulas, seed, stored), **{**settings, **machine})  # type: ignore[arg-type]  # its fields
    batch = as_tensors(inputs(program, train.model, dims, seed))
    with ran.rounding():
        twin = Twin(program, ran)
        empty = Frame(twin.root, dims=dims)
        batch |= {carry.name: carried.get(carry.name, empty.value(carry.first)) for carry in train.carries}
        try:
            frame = twin.frame(train.model, batch, dims)
        except ValueError:  # of a batch norm that sees one value
            return None
        frame.values.update(as_tensors(arrays(dict(train.targets), dims, seed)))
        losses = [frame.value(loss) for loss in train.losses]
        metrics = {name: frame.value(value) for name, value in train.metrics}
    return Step(ran, losses, metrics, frame)

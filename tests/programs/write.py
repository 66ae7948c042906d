"""The text of a description."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tests.programs.description import (
    Assign,
    Block,
    Count,
    Description,
    Expr,
    For,
    If,
    Layer,
    Model,
    Param,
    Scan,
    Statement,
    Train,
    Type,
)


def text_of(program: Description) -> str:
    """The program as a `.wsd` file."""
    parts = [
        *map(_block, program.blocks),
        *("\n".join(_statement(layer)) for layer in program.layers),
        *map(_model, program.models),
        *(f"share {group.name}{' ' * bool(group.name)}{{ {group.text} }}" for group in program.groups if group.text),
        *(f"param {slot.path}: {program.dtype}{[*slot.shape]}" for f in program.formulas for slot in f.brings),
        *(f"param {formula.target.path} = {formula.text}" for formula in program.formulas),
        *map(_train, program.trains),
        *([program.turns] if program.turns else []),
    ]
    return "\n\n".join(parts) + "\n"


def _indented(lines: Iterable[str]) -> str:
    return "".join(f"    {line}\n" for line in lines)


def _block(block: Block) -> str:
    settings = ", ".join(f"{name}: int = {value}" for name, value in block.settings)
    inputs = ", ".join(f"{name}: {_without_dtype(type)}" for name, type in block.inputs)
    body = _indented([*statements(block.body), f"return {_listed(block.results)}"])
    return f"block {block.name}({settings})({inputs}) {{\n{body}}}"


def _without_dtype(type: Type) -> str:
    return f"[{', '.join(map(str, type.shape))}]"


def _model(model: Model) -> str:
    inputs = ", ".join(f"{name}: {type}" for name, type in model.inputs)
    outputs = ", ".join(f"{name}: {value.type}" for name, value in model.outputs)
    body = _indented([*statements(model.body), f"return {_listed([value for _, value in model.outputs])}"])
    return f"model {model.name}({inputs}) -> ({outputs}) {{\n{body}}}"


def _train(train: Train) -> str:
    targets = ", ".join(f"{name}: {type}" for name, type in train.targets)
    settings = ", ".join(f"{name}={_number(value)}" for name, value in train.settings.items())
    lines = [
        *(f"carry {carry.name} = {carry.first}" for carry in train.carries),
        *(f"loss {loss}" for loss in train.losses),
        *(f"metric {name} = {value}" for name, value in train.metrics),
        f"optimizer {train.optimizer}({settings})",
        *(f"freeze {path}" for path in train.freezes),
        *(f"freeze {path} {mode}" for path, mode in train.modes),
        *(f"lr {path} = {rate}" for path, rate in train.rates),
        *(f"update {u.path} = {u.value}{f' every {u.every}' if u.every > 1 else ''}" for u in train.updates),
        *(f"{carry.name} = {carry.following}" for carry in train.carries),
    ]
    name = f"{train.called} of {train.model}" if train.called else train.model
    return f"train {name}({targets}) {{\n{_indented(lines)}}}"


def _number(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(values: Sequence[Expr]) -> str:
    return ", ".join(map(str, values))


def statements(body: Sequence[Statement]) -> Iterator[str]:
    for statement in body:
        yield from _statement(statement)


def _within(head: str, body: Sequence[Statement], last: Sequence[str] = ()) -> list[str]:
    return [f"{head} {{", *(f"    {line}" for line in [*statements(body), *last])]


def _statement(statement: Statement) -> list[str]:
    match statement:
        case Assign(names, value):
            return [f"{', '.join(names)} = {value}"]
        case Layer(name, made, count) if len(made) == 1:
            return [f"layer {name}{f'[{count}]' if count is not None else ''} = {made[0].text}"]
        case Layer(name, made):
            return [f"layer {name} = [{', '.join(each.text for each in made)}]"]
        case Param(name, type, has_dtype):
            return [f"param {name}: {type if has_dtype else _without_dtype(type)}"]
        case For(name, over, _, body):
            return [*_within(f"for {name} in {over}", body), "}"]
        case If(condition, _, then, otherwise):
            return [
                *_within(f"if {condition}", then),
                *(_within("} else", otherwise) if otherwise else []),
                "}",
            ]
        case Scan(targets, sequences, _, along, carried, body, emits, is_reverse):
            steps = ", ".join(f"{name} in {value}" for name, value in sequences)
            starts = ", ".join(f"{name} = {value}" for name, value in carried)
            head = f"{', '.join(targets)} = " if targets else ""
            head += f"scan {'reverse ' * is_reverse}{steps} along {along}{f' with {starts}' if starts else ''}"
            return [*_within(head, body, [f"emit {_listed(emits)}"] if emits else []), "}"]
        case Count(targets, name, limit, _, carried, body, emits, ends):
            starts = ", ".join(f"{name} = {value}" for name, value in carried)
            head = f"{', '.join(targets)} = " if targets else ""
            head += f"scan {name} in 0..{limit}{f' with {starts}' if starts else ''}"
            last = [f"emit {_listed(emits)}"] if emits else []
            return [*_within(head, body, last + ([f"until {name} >= {ends}"] if ends is not None else [])), "}"]

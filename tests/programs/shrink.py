"""A smaller program that fails in the same way: pieces are left out, one after the other, as long as it still does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

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
    Scan,
    Statement,
    Train,
    Type,
    variable,
)

Body = tuple[Statement, ...]


def shrunk(program: Description, fails: Callable[[Description], bool], attempts: int = 400) -> Description:
    """The smallest program that is found with so many attempts."""
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for smaller in _smaller(program):
            attempts -= 1
            if attempts < 0:
                return program
            if fails(smaller):
                program, is_smaller = smaller, True
                break
    return program


def _smaller(program: Description) -> Iterator[Description]:
    """Programs with one piece less, the largest pieces first."""
    if program.trains:
        yield replace(program, trains=(), turns="")
    if program.turns:
        yield replace(program, turns="")
        yield from (replace(program, trains=(train,), turns="") for train in program.trains)
    if len(program.models) > 1:
        for models in _without(program.models):
            if all(any(m.name == train.model for m in models) for train in program.trains):
                yield replace(program, models=models)
    yield from (replace(program, groups=groups) for groups in _without(program.groups))
    yield from (replace(program, formulas=formulas) for formulas in _without(program.formulas))
    if len(program.sizes) > 1:
        yield from (replace(program, sizes=sizes) for sizes in _without(program.sizes))
    yield from (replace(program, layers=layers) for layers in _without(program.layers))
    yield from (replace(program, blocks=blocks) for blocks in _without(program.blocks))
    for i, train in enumerate(program.trains):
        for smaller in _smaller_train(train):
            yield replace(program, trains=(*program.trains[:i], smaller, *program.trains[i + 1 :]))
    for i, model in enumerate(program.models):
        for other in _smaller_model(model):
            yield replace(program, models=(*program.models[:i], other, *program.models[i + 1 :]))
    for i, block in enumerate(program.blocks):
        for kind in _smaller_block(block):
            yield replace(program, blocks=(*program.blocks[:i], kind, *program.blocks[i + 1 :]))


def _smaller_train(train: Train) -> Iterator[Train]:
    yield from (replace(train, metrics=m) for m in _without(train.metrics))
    yield from (replace(train, losses=m) for m in _without(train.losses) if m)
    yield from (replace(train, updates=m) for m in _without(train.updates))
    yield from (replace(train, carries=m) for m in _without(train.carries))
    yield from (replace(train, modes=m) for m in _without(train.modes))
    yield from (replace(train, freezes=m) for m in _without(train.freezes))
    yield from (replace(train, rates=m) for m in _without(train.rates))
    yield from (
        replace(train, settings={k: v for k, v in train.settings.items() if k != left})
        for left in train.settings
        if left != "lr"
    )
    yield from (replace(train, targets=m) for m in _without(train.targets))


def _without(items: Sequence[object]) -> Iterator[tuple]:  # type: ignore[type-arg]  # of whatever the items are
    for i in range(len(items)):
        yield (*items[:i], *items[i + 1 :])


def _smaller_model(model: Model) -> Iterator[Model]:
    if len(model.outputs) > 1:
        yield from (replace(model, outputs=outputs) for outputs in _without(model.outputs))
    yield from (replace(model, body=body) for body in _smaller_body(model.body, dict(model.inputs)))
    yield from (replace(model, inputs=inputs) for inputs in _without(model.inputs))


def _smaller_block(block: Block) -> Iterator[Block]:
    if len(block.results) > 1:
        yield from (replace(block, results=results) for results in _without(block.results))
    yield from (replace(block, body=body) for body in _smaller_body(block.body, dict(block.inputs)))
    for i, result in enumerate(block.results):
        for smaller in _smaller_expr(result, dict(block.inputs)):
            yield replace(block, results=(*block.results[:i], smaller, *block.results[i + 1 :]))


def _smaller_body(body: Body, seen: dict[str, Type]) -> Iterator[Body]:
    """Without one of its statements, the last ones first, or with one of them smaller."""
    for i in range(len(body) - 1, -1, -1):
        yield (*body[:i], *body[i + 1 :])
    for i, statement in enumerate(body):
        for smaller in _smaller_statement(statement, seen):
            yield (*body[:i], *smaller, *body[i + 1 :])
        if isinstance(statement, Assign) and len(statement.names) == 1:
            seen = {**seen, statement.names[0]: statement.value.type}


def _smaller_statement(statement: Statement, seen: dict[str, Type]) -> Iterator[Body]:
    match statement:
        case Assign(names, value) if len(names) == 1:
            yield from ((replace(statement, value=smaller),) for smaller in _smaller_expr(value, seen))
        case Layer(_, made, _) if len(made) > 1:
            yield from ((replace(statement, made=fewer),) for fewer in _without(made))
        case For():
            yield from ((replace(statement, body=body),) for body in _smaller_body(statement.body, seen))
        case If():
            yield statement.then
            yield statement.otherwise
            yield from ((replace(statement, then=body),) for body in _smaller_body(statement.then, seen))
            yield from ((replace(statement, otherwise=body),) for body in _smaller_body(statement.otherwise, seen))
        case Scan():
            if statement.is_reverse:
                yield (replace(statement, is_reverse=False),)
            for i in range(len(statement.emits)):
                targets, emits = ((*x[:i], *x[i + 1 :]) for x in (statement.targets, statement.emits))
                yield (replace(statement, targets=targets, emits=emits),)
            yield from ((replace(statement, carried=carried),) for carried in _without(statement.carried))
            if len(statement.sequences) > 1:
                yield from ((replace(statement, sequences=sequences),) for sequences in _without(statement.sequences))
            yield from ((replace(statement, body=body),) for body in _smaller_body(statement.body, seen))
        case Count():
            for i in range(len(statement.emits)):
                targets, emits = ((*x[:i], *x[i + 1 :]) for x in (statement.targets, statement.emits))
                yield (replace(statement, targets=targets, emits=emits),)
            yield from ((replace(statement, carried=carried),) for carried in _without(statement.carried))
            yield from ((replace(statement, body=body),) for body in _smaller_body(statement.body, seen))


def _smaller_expr(value: Expr, seen: dict[str, Type]) -> Iterator[Expr]:
    """A name that has its type, an operand that has, or the same of smaller operands."""
    if value.args:
        yield from (variable(name, type) for name, type in seen.items() if type == value.type)
    yield from (arg for arg in value.args if arg.type == value.type)
    for i, arg in enumerate(value.args):
        for smaller in _smaller_expr(arg, seen):
            yield replace(value, args=(*value.args[:i], smaller, *value.args[i + 1 :]))

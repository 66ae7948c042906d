"""Runs the bodies of a resolved file: syntax tree in, typed graph out.

The body of a block is run where the block is applied, with the types of its inputs, so that every node of the graph has
a type and every parameter a shape. Errors are reported, and elaboration continues with a poison value, so that one
mistake gives one message.

    elaborate        the file: its layers and constants, its models, its trainings, its variants
    models           the body of a model, from inputs to outputs
    evaluate         evaluates expressions and runs statements: dispatches on the kind of node ...
    meanings         ... by these tables, which name the file to open next
    calls            a call: `operations` appends nodes, `layers` creates a layer, `apply` runs the body of its block
    replay           repeats an application that is alike, in place of running the body again
    context          the state that all of them share
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from wsdl.diagnostics import Problems
from wsdl.elaborate.context import Context
from wsdl.elaborate.declarations import declare_in_file
from wsdl.elaborate.evaluate import evaluate, run
from wsdl.elaborate.items import Frame, Layer
from wsdl.elaborate.meanings import MEANINGS
from wsdl.elaborate.models import elaborate_model
from wsdl.elaborate.program_builder import ProgramBuilder
from wsdl.elaborate.records import Memory
from wsdl.elaborate.report import TooMuch
from wsdl.elaborate.scopes import Definition, FileScope
from wsdl.ir.dims import TooLong
from wsdl.ir.graph import Module
from wsdl.ir.stages import Checked
from wsdl.syntax import tree


def elaborate(
    scope: FileScope, problems: Problems, dims: Mapping[str, int] | None = None, memory: Memory | None = None
) -> Checked:
    """The program of a file: the graph of each model, the layers with their slots, and the requests about these.

    `dims` fixes dynamic dimensions; `memory` has what earlier elaborations came to.
    """
    draft = ProgramBuilder(references=scope.references, doubtful=scope.is_partial)
    context = Context(draft, MEANINGS, dims or {}, _root(scope), problems)
    context.memory = memory
    try:
        _file(scope, context)
        models = {definition.name: elaborate_model(definition, context) for definition in scope.models()}
        _what_few_files_have(scope, models, context)
    except TooMuch:  # reported
        context.program.doubtful = True
    except TooLong as error:
        uses = context.where.uses
        with suppress(TooMuch):
            context.refuse_size(error, uses[-1].span if uses else context.root.call_span)
        context.program.doubtful = True
    except RecursionError:
        context.refuse_nesting()
        context.program.doubtful = True
    if memory is not None:
        memory.keep(context.records)
    for child in context.root.module.children.values():
        for module in child if isinstance(child, list) else [child]:
            context.program.layers[module.path] = module
    context.program.aliases = context.root.module.aliases
    return context.program.checked()


def _what_few_files_have(scope: FileScope, models: Mapping[str, Layer], context: Context) -> None:
    if any(isinstance(node, tree.Train | tree.Turns) for node in scope.file.declarations):
        from wsdl.elaborate.training import elaborate_trainings

        elaborate_trainings(scope, models, context)
    if context.of_imported:
        from wsdl.elaborate.imported_layers import imported_requests

        imported_requests(context)
    if context.formulas or scope.variants:
        from wsdl.elaborate.formulas import elaborate_formulas
        from wsdl.elaborate.variants import elaborate_variants

        elaborate_formulas(models, context)
        elaborate_variants(scope, models, context)


def _root(scope: FileScope) -> Layer:
    """The layer of the file itself; its path is empty."""
    span = scope.source.span(0, 0)
    node = tree.Model(span, tree.Name(span, ""), (), None, ())
    return Layer(Definition(node, scope), {}, Module("", "", span), span, taken=set(scope.definitions))


def _file(scope: FileScope, context: Context) -> None:
    frame = Frame(context.root, scope, {}, context.where.dtype)
    for declaration in scope.file.declarations:
        if isinstance(declaration, tree.Layer | tree.Parameter):
            declare_in_file(Definition(declaration, scope), context)
        elif isinstance(declaration, tree.Let):
            evaluate(declaration.name, frame, context)  # unused ones too
        elif isinstance(declaration, tree.Import):
            for name in declaration.names:
                definition = scope.find(name.text)
                if definition is not None and isinstance(definition.node, tree.Layer | tree.Parameter):
                    from wsdl.elaborate.imported_layers import is_there

                    is_there(definition, name, context)
        elif isinstance(declaration, tree.Formula | tree.Share | tree.Freeze | tree.Load | tree.Copy | tree.Require):
            run([declaration], frame, context)

"""Signature help: the parameters of the call around the cursor."""

from __future__ import annotations

from lsprotocol import types

from wsdl.lsp.callees import called
from wsdl.lsp.documents import Document
from wsdl.lsp.place import place_at

TRIGGERS = ["(", ","]


def signature_help(document: Document, params: types.SignatureHelpParams) -> types.SignatureHelp | None:
    place = place_at(document, document.positions.offset(params.position))
    found = place.call() if place is not None else None
    if place is None or found is None:
        return None
    call, argument = found
    callee = called(call, place)
    if callee is None:
        return None
    what, before = callee
    names = [parameter.name for parameter in what.parameters]
    if argument.name is not None:
        active = names.index(argument.name.text) if argument.name.text in names else len(names)
    else:
        active = before + [a for a in call.arguments if a.name is None].index(argument)
    parameters = [types.ParameterInformation(parameter.label) for parameter in what.parameters]
    text = types.MarkupContent(types.MarkupKind.Markdown, what.text) if what.text else None
    shown = types.SignatureInformation(what.label, documentation=text, parameters=parameters)
    return types.SignatureHelp([shown], active_signature=0, active_parameter=active)

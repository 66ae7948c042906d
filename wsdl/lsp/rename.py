"""Rename: a name at all of its places, in all files whose programs have it.

A rename keeps the meaning. The programs are checked with the new name before anything is answered: every use must
belong to the definition that it belonged to, and the programs must compute and store the same. Otherwise the request
is refused, with the reason.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping

from lsprotocol import types

from wsdl.api.checking import Examined, examine
from wsdl.diagnostics import Diagnostic, Problems
from wsdl.diagnostics.figures import count
from wsdl.diagnostics.span import Source, Span
from wsdl.lsp.documents import Document, Documents
from wsdl.lsp.importers import programs_that_read
from wsdl.lsp.index import Index
from wsdl.lsp.meaning import bound, edited, fingerprint, moved_by
from wsdl.lsp.names import definitions_of, name_at
from wsdl.lsp.refused import Refused
from wsdl.lsp.renaming import Program, bindings, placeholder_names, places, unknown, unresolved
from wsdl.ops import NAMED
from wsdl.syntax import tree
from wsdl.syntax.mistakes import KEYWORDS
from wsdl.syntax.parser import parse

_NAME = re.compile(r"[^\W\d]\w*")
_SHOWN = 5  # stored tensors in a message


def prepare_rename(document: Document, params: types.PrepareRenameParams) -> types.PrepareRenamePlaceholder | None:
    """The name at a position. Raises `Refused`, which says why it can't be renamed."""
    name = _name_at(document, params.position)
    if name is None:
        return None
    _places(document, name)
    return types.PrepareRenamePlaceholder(document.positions.range(name), name.text)


def rename(document: Document, params: types.RenameParams) -> types.WorkspaceEdit | None:
    """The edits of all files. Raises `Refused` if the name can't be changed to the new one."""
    name = _name_at(document, params.position)
    if name is None:
        return None
    new = params.new_name
    all_places, programs = _places(document, name)
    if new == name.text:
        return types.WorkspaceEdit(changes={})
    _check_form(name.text, new)
    _check_taken(all_places, new)
    edits: dict[Source, dict[Span, str]] = {}
    for place in all_places:
        edits.setdefault(place.source, {})[place] = new
    _check_known(new, [program for program in programs if program.source in edits], all_places)
    stored: dict[str, str] = {}
    for program in programs:
        stored |= _verified(program, edits, new)
    return _workspace_edit(edits, stored, document.documents)


# -- what can be renamed -----------------------------------------------------------------------------------------------


def _name_at(document: Document, position: types.Position) -> Span | None:
    """The name at a position, which may be that of a placeholder in a string."""
    offset = document.positions.offset(position)
    placeholders = (place for same in placeholder_names(document.source) for place in same)
    return next((p for p in placeholders if p.start <= offset <= p.end), None) or name_at(document, position)


def _places(document: Document, name: Span) -> tuple[list[Span], list[Document]]:
    """All places of a name, and the programs that they are in."""
    if not _NAME.fullmatch(name.text):
        raise Refused("this is no name")
    if any(place.source.is_standard for place in definitions_of(document, name)):
        raise Refused(f"`{name.text}` belongs to the standard library")
    programs, found = [document], [name]
    for error in document.problems.errors:
        raise Refused(f"correct the errors first, so that all uses are known: {_shown(error, document.source)}")
    while True:
        found = places([_program(p) for p in programs], name)
        reading = programs_that_read({place.source: None for place in found}, document.documents)
        if len(reading) <= len(programs):
            break
        programs = reading
    if any(place.source.is_standard for place in found):
        raise Refused(f"`{name.text}` belongs to the standard library")
    if len(found) == 1 and not any(name == b.name for b in bindings(name.source)):
        what = "an operation" if name.text in NAMED else "a word of the language, or a name that it gives"
        raise Refused(f"`{name.text}` is {what}")
    _check_known(name.text, programs, found)
    known = set(found)
    for place in (place for place in unresolved([_program(p) for p in programs], name.text) if place not in known):
        raise Refused(f"{_not_known(place, found)}, which no program runs")
    return found, programs


def _program(document: Document) -> Program:
    checked = document.examined.program
    sources = (document.source,) if checked is None else tuple(checked.sources.values())
    return Program(checked, document.references, sources)


def _check_known(text: str, programs: Iterable[Document], found: Iterable[Span]) -> None:
    """Refuse a name if a program with errors has it where it isn't known what it stands for."""
    doubtful = {program: program.problems.errors for program in programs}
    certain = [_program(program) for program, errors in doubtful.items() if not errors]
    for program, errors in doubtful.items():
        places = unknown(_program(program), certain, text) if errors else ()
        for place in (place for place in places if place not in found):
            raise Refused(f"{_not_known(place, found)}; correct the error first: {_shown(errors[0], place.source)}")


def _not_known(place: Span, found: Iterable[Span]) -> str:
    return f"it isn't known what `{place.text}` is on line {place.line}{_in_file(place, found)}"


def _check_form(old: str, new: str) -> None:
    if not _NAME.fullmatch(new):
        raise Refused(f"`{new}` is no name: write letters, digits and `_`, not beginning with a digit")
    if new in KEYWORDS.split("|"):
        raise Refused(f"`{new}` is a word of the language")
    if old[:1].isupper() != new[:1].isupper():
        begins = "a capital" if old[:1].isupper() else "a lower-case"
        raise Refused(f"the new name of `{old}` must start with {begins} letter: blocks do, and nothing else")


def _check_taken(renamed: Iterable[Span], new: str) -> None:
    """Refuse a name that the same body, or the same file, already binds."""
    own = set(renamed)
    for source in dict.fromkeys(place.source for place in own):
        all_bound = list(bindings(source))
        kinds = {(b.scope, b.kind.replace("size", "name")) for b in all_bound if b.name in own}
        for b in all_bound:
            if b.name.text == new and (b.scope, b.kind.replace("size", "name")) in kinds:
                raise Refused(f"`{new}` is already taken, line {b.name.line}" + _in_file(b.name, own))


def _in_file(place: Span, own: Iterable[Span]) -> str:
    return "" if all(place.source is o.source for o in own) else f" of {posixpath.basename(place.source.path)}"


# -- what the new name would change ------------------------------------------------------------------------------------


def _verified(program: Document, edits: Mapping[Source, Mapping[Span, str]], new: str) -> dict[str, str]:
    """The stored tensors of a program that get another name, with it. Refuses a new name that changes more than
    names."""
    before = program.examined
    read = {source.path: Source(source.path, edited(source, texts)) for source, texts in edits.items()}
    main = read.get(program.source.path, program.source)
    after = examine(main, import_root=program.documents.import_root, read=_reading(read, program.documents))
    _check_problems(before, after, new, main)
    was = bound(program.references, moved_by(edits))
    now = bound(Index(after.program).references, moved_by({}))
    if was != now:
        line = min((place[1], place) for place in was.keys() | now.keys() if was.get(place) != now.get(place))[1]
        source = read.get(line[0], program.documents.read(line[0]))
        where = "" if source is None else f", line {source.position(line[1])[0]}"
        raise Refused(f"`{new}` is already taken: a name would stand for something else{where}")
    if fingerprint(before) != fingerprint(after):
        raise Refused(f"with the name `{new}` the program would mean something else")
    return {a: b for a, b in zip(_tensors(before), _tensors(after), strict=True) if a != b}


def _tensors(examined: Examined) -> list[str]:
    """The names of the stored tensors; with errors those of all slots that are known."""
    if examined.storage is not None:
        return [*examined.storage.stored]
    return [] if examined.program is None else [slot.path for slot in examined.program.slots()]


def _reading(changed: Mapping[str, Source], documents: Documents) -> Callable[[str], Source | None]:
    return lambda path: changed.get(path) or documents.read(path)


def _check_problems(before: Examined, after: Examined, new: str, main: Source) -> None:
    known = [diagnostic.code for diagnostic in before.problems]
    for diagnostic in sorted(after.problems, key=lambda d: d.severity != "error"):
        if diagnostic.code not in known:
            raise Refused(f"`{new}` can't be the name: {_shown(diagnostic, main)}{_of_load(diagnostic)}")
        known.remove(diagnostic.code)
    if known:
        raise Refused(f"with the name `{new}` the program would mean something else")


def _shown(diagnostic: Diagnostic, main: Source) -> str:
    if diagnostic.span is None:
        return diagnostic.summary()
    file = "" if diagnostic.span.source.path == main.path else f" of {posixpath.basename(diagnostic.span.source.path)}"
    return f"{diagnostic.summary()}, line {diagnostic.span.line}{file}"


def _of_load(diagnostic: Diagnostic) -> str:
    """What to do about a `load` that takes names as they are in its file."""
    span = diagnostic.span
    declarations = () if span is None else parse(span.source, Problems()).declarations
    for node in declarations:
        if span is not None and isinstance(node, tree.Load) and node.span.start <= span.start < node.span.end:
            return "; give the table of the `load` a line for this name first, which keeps the one in the file"
    return ""


# -- the answer --------------------------------------------------------------------------------------------------------


def _workspace_edit(
    edits: Mapping[Source, Mapping[Span, str]], stored: Mapping[str, str], documents: Documents
) -> types.WorkspaceEdit:
    """The edits. Where they change names in files of weights, the user is told, and confirms them if the client asks:
    VS Code then shows the reason only over the lines to be confirmed."""
    client = documents.client
    if stored:
        annotation = _annotation(stored)
        documents.tell(f"The rename {annotation.label}: {annotation.description}")
    if not client.takes_versions:
        return types.WorkspaceEdit(
            changes={
                documents.uri(source): [
                    types.TextEdit(documents.positions(source).range(place), text) for place, text in texts.items()
                ]
                for source, texts in edits.items()
            }
        )
    told = bool(stored) and client.takes_annotations
    changes = []
    for source, texts in edits.items():
        uri, positions = documents.uri(source), documents.positions(source)
        opened = documents.get(uri)
        identifier = types.OptionalVersionedTextDocumentIdentifier(uri, opened.version if opened else None)
        listed: list[types.TextEdit | types.AnnotatedTextEdit | types.SnippetTextEdit] = [
            types.AnnotatedTextEdit("stored", positions.range(place), text)
            if told
            else types.TextEdit(positions.range(place), text)
            for place, text in texts.items()
        ]
        changes.append(types.TextDocumentEdit(identifier, listed))
    return types.WorkspaceEdit(
        document_changes=changes, change_annotations={"stored": _annotation(stored)} if told else None
    )


def _annotation(stored: Mapping[str, str]) -> types.ChangeAnnotation:
    pairs = [f"{old} → {new}" for old, new in stored.items()]
    more = f", and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    return types.ChangeAnnotation(
        label=f"changes the names of {count(len(pairs), 'stored tensor')}",
        needs_confirmation=True,
        description=f"files of weights that have the old names no longer fit: {', '.join(pairs[:_SHOWN])}{more}",
    )

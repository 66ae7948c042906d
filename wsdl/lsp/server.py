"""The protocol: documents come in, diagnostics go out, each request goes to the function of its feature."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, TypeVar

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from wsdl._version import __version__
from wsdl.elaborate.scopes import standard_block, standard_blocks
from wsdl.lsp import semantic_tokens
from wsdl.lsp.client import Client
from wsdl.lsp.code_actions import KINDS, code_actions, resolved
from wsdl.lsp.code_lens import NEXT_MEMBER, code_lenses, next_member
from wsdl.lsp.completion import TRIGGERS, completion, resolved_item
from wsdl.lsp.diagnostics import diagnostics
from wsdl.lsp.documents import Document, Documents
from wsdl.lsp.formatting import formatting
from wsdl.lsp.highlight import highlights
from wsdl.lsp.hover import hover
from wsdl.lsp.inlay_hints import inlay_hints
from wsdl.lsp.navigation import definition, references
from wsdl.lsp.outline import folding, outline
from wsdl.lsp.refused import Refused
from wsdl.lsp.rename import prepare_rename, rename
from wsdl.lsp.signature_help import TRIGGERS as OF_CALLS
from wsdl.lsp.signature_help import signature_help

PAUSE = 0.05  # seconds after a keystroke before the text is checked, unless something is asked about it before

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")  # signals that end the process

_T = TypeVar("_T")

_WATCHED = "**/*.{wsd,safetensors,npz,pt,pth,bin,onnx,json}"  # what programs import and load
_ACTIONS = types.CodeActionOptions(code_action_kinds=KINDS, resolve_provider=True)

FEATURES: Mapping[str, tuple[Callable[[Document, Any], object], object]] = {
    types.TEXT_DOCUMENT_CODE_ACTION: (code_actions, _ACTIONS),
    types.TEXT_DOCUMENT_CODE_LENS: (code_lenses, None),
    types.TEXT_DOCUMENT_COMPLETION: (completion, types.CompletionOptions(TRIGGERS, resolve_provider=True)),
    types.TEXT_DOCUMENT_DEFINITION: (definition, None),
    types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT: (highlights, None),
    types.TEXT_DOCUMENT_DOCUMENT_SYMBOL: (outline, None),
    types.TEXT_DOCUMENT_FOLDING_RANGE: (folding, None),
    types.TEXT_DOCUMENT_FORMATTING: (formatting, None),
    types.TEXT_DOCUMENT_HOVER: (hover, None),
    types.TEXT_DOCUMENT_INLAY_HINT: (inlay_hints, None),
    types.TEXT_DOCUMENT_PREPARE_RENAME: (prepare_rename, None),
    types.TEXT_DOCUMENT_REFERENCES: (references, None),
    types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL: (semantic_tokens.full, semantic_tokens.LEGEND),
    types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL_DELTA: (semantic_tokens.delta, semantic_tokens.LEGEND),
    types.TEXT_DOCUMENT_SEMANTIC_TOKENS_RANGE: (semantic_tokens.in_range, semantic_tokens.LEGEND),
    types.TEXT_DOCUMENT_RENAME: (rename, types.RenameOptions(prepare_provider=True)),
    types.TEXT_DOCUMENT_SIGNATURE_HELP: (signature_help, types.SignatureHelpOptions(OF_CALLS)),
}
"""The function that answers each request about a document, and the options that the server announces for it."""


class Server:
    """One session with a client."""

    def __init__(self, import_root: str | None = None) -> None:
        self._documents = Documents(import_root)
        self._documents.tell = self._tell
        self._published: dict[str, list[types.Diagnostic]] = {}
        self._changed: set[str] = set()  # the URIs of the documents with a new version
        self._timer: asyncio.TimerHandle | None = None
        self._unread = iter(standard_blocks())
        self._was_shut_down = False
        # Whole texts, which need no counting of lines: pygls has other ends of lines than the protocol.
        self._protocol = LanguageServer("wsdl", __version__, types.TextDocumentSyncKind.Full)
        notifications: Mapping[str, Callable[[Any], None]] = {
            types.INITIALIZED: self._initialized,
            types.TEXT_DOCUMENT_DID_OPEN: self._opened,
            types.TEXT_DOCUMENT_DID_CHANGE: self._edited,
            types.TEXT_DOCUMENT_DID_CLOSE: self._closed,
            types.TEXT_DOCUMENT_DID_SAVE: self._files_changed,
            types.WORKSPACE_DID_CHANGE_WATCHED_FILES: self._files_changed,
            types.SHUTDOWN: self._shut_down,
        }
        for method, notified in notifications.items():
            self._protocol.feature(method)(_function(notified))
        for method, (answer, options) in FEATURES.items():
            self._protocol.feature(method, options)(self._answering(answer))
        self._protocol.command(NEXT_MEMBER)(lambda uri, number: self._show_next(uri, number))
        self._protocol.feature(types.COMPLETION_ITEM_RESOLVE)(lambda item: resolved_item(item))
        self._protocol.feature(types.CODE_ACTION_RESOLVE)(_function(self._resolved))

    def run(self) -> int:
        """Serve until the client ends the session or closes stdin; returns the exit code that the protocol asks for."""
        numbers = [signal.Signals[name] for name in ENDING if name in signal.Signals.__members__]
        before = {number: signal.signal(number, _end) for number in numbers}
        # Nothing but the protocol goes to stdout: what anything else prints goes to the log of the client.
        stdout = os.dup(1)
        try:
            with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as answers:
                os.dup2(2, 1)
                self._protocol.start_io(requests, answers)
        finally:
            os.dup2(stdout, 1)
            os.close(stdout)
            for number, handler in before.items():
                signal.signal(number, handler)
        return 0 if self._was_shut_down else 1

    def _answering(self, answer: Callable[[Document, Any], object]) -> Callable[[Any], object]:
        """A handler of requests about a document; a failure of ours goes to the log, and the answer is empty."""

        def handler(params: Any) -> object:
            document = self._documents.get(params.text_document.uri)
            try:
                return None if document is None else answer(document, params)
            except Refused as refused:
                raise _as_error(refused) from None
            except Exception:
                logging.getLogger(__name__).exception("internal error: this is a bug in wsdl")
                return None

        return handler

    def _resolved(self, action: types.CodeAction) -> types.CodeAction:
        try:
            return resolved(self._documents, action)
        except Refused as refused:
            raise _as_error(refused) from None

    def _tell(self, message: str) -> None:
        self._protocol.window_show_message(types.ShowMessageParams(types.MessageType.Info, message))

    def _show_next(self, uri: str, number: int) -> None:
        shown = next_member(self._documents, uri, number)
        if shown is not None:
            self._protocol.window_show_document(shown)

    # -- documents -----------------------------------------------------------------------------------------------------

    def _initialized(self, params: types.InitializedParams) -> None:
        self._documents.encoding = self._protocol.workspace.position_encoding or types.PositionEncodingKind.Utf16
        self._documents.client = Client.of(self._protocol.client_capabilities, self._protocol.workspace)
        workspace = self._protocol.client_capabilities.workspace
        watching = workspace.did_change_watched_files if workspace else None
        if watching and watching.dynamic_registration:
            options = types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher(_WATCHED)])
            method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
            registration = types.Registration("watched files", method, options)
            self._protocol.client_register_capability(types.RegistrationParams([registration]))

    def _opened(self, params: types.DidOpenTextDocumentParams) -> None:
        document = params.text_document
        self._put(document.uri, document.text, document.version)
        self._publish()
        asyncio.get_running_loop().call_later(PAUSE, self._read_library)

    def _edited(self, params: types.DidChangeTextDocumentParams) -> None:
        for change in params.content_changes:
            self._put(params.text_document.uri, change.text, params.text_document.version)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(PAUSE, self._publish)

    def _closed(self, params: types.DidCloseTextDocumentParams) -> None:
        self._documents.close(params.text_document.uri)
        self._publish()

    def _files_changed(self, params: object) -> None:
        for document in self._documents:
            document.check_again()
        self._publish()

    def _read_library(self) -> None:
        """Parse the standard library, block by block with messages between them: the first completion needs all of it,
        which takes 0.2 s."""
        for name in self._unread:
            standard_block(name)
            asyncio.get_running_loop().call_soon(self._read_library)
            break

    def _shut_down(self, params: None) -> None:
        self._was_shut_down = True

    def _put(self, uri: str, text: str, version: int) -> None:
        self._documents.put(uri, text, version)
        self._changed.add(uri)

    def _publish(self) -> None:
        """Send the diagnostics of new versions, and those of other files that are no longer what the client has."""
        now = diagnostics(self._documents)
        for uri in dict.fromkeys((*now, *self._published)):
            listed = now.get(uri, [])
            if uri in self._changed or listed != self._published.get(uri, []):
                document = self._documents.get(uri)
                version = document.version if document else None
                self._protocol.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, listed, version))
        self._published = {uri: listed for uri, listed in now.items() if listed}
        self._changed.clear()


class _Error(JsonRpcException):
    """An error of the protocol, which editors show."""


def _as_error(refused: Refused) -> _Error:
    return _Error(str(refused), types.LSPErrorCodes.RequestFailed.value)


def _is_failure(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], _Error))


logging.getLogger("pygls.protocol.json_rpc").addFilter(_is_failure)  # it logs each error with a traceback


def _function(method: Callable[[Any], _T]) -> Callable[[Any], _T]:
    """A function that pygls can put attributes on, which a bound method does not take."""
    return lambda params: method(params)


def _end(number: int, frame: FrameType | None) -> None:
    """End the process at once: a thread may wait for stdin, and the server has no files to finish."""
    os._exit(128 + number)

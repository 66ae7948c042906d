"""An editor as the server sees it: messages over the pipes of a process, with the capabilities of VS Code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

CAPABILITIES = json.loads((Path(__file__).parent / "vscode.json").read_text(encoding="utf-8"))
PATIENCE = 120  # seconds for an answer


class Editor:
    """A session with a server. `shown` are the diagnostics in the editor, by URI, `log` what the server has written to
    stderr, once it has ended."""

    def __init__(self, *arguments: str, encodings: list[str] | None = None, **capabilities: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wsdl", "lsp", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.shown: dict[str, list[Any]] = {}
        self.versions: dict[str, int] = {}
        self.registered: list[Any] = []
        self.documents_shown: list[Any] = []
        self.messages: list[str] = []
        self.log = ""
        self._received: Queue[Any] = Queue()
        self._number = 0
        self._threads = [Thread(target=read, daemon=True) for read in (self._receive, self._read_log)]
        for thread in self._threads:
            thread.start()
        general = {"general": {**CAPABILITIES["general"], "positionEncodings": encodings}} if encodings else {}
        experimental = {"experimental": {"commands": ["wsdl.showMembers"]}}  # as the extension for VS Code
        own = CAPABILITIES | general | experimental | capabilities
        started = self.call("initialize", processId=None, rootUri=None, capabilities=own)
        self.capabilities = started["capabilities"]
        self.notify("initialized")

    # -- documents -----------------------------------------------------------------------------------------------------

    def open(self, path: Path, text: str) -> list[Any]:
        """Open a file with this text; its diagnostics."""
        self.versions[path.as_uri()] = 1
        item = {"uri": path.as_uri(), "languageId": "wsd", "version": 1, "text": text}
        self.notify("textDocument/didOpen", textDocument=item)
        return self._diagnostics(path)

    def change(self, path: Path, text: str) -> list[Any]:
        """Give an open file another text; its diagnostics."""
        self.versions[path.as_uri()] += 1
        document = {"uri": path.as_uri(), "version": self.versions[path.as_uri()]}
        self.notify("textDocument/didChange", textDocument=document, contentChanges=[{"text": text}])
        return self._diagnostics(path)

    def close(self, path: Path) -> None:
        self.notify("textDocument/didClose", textDocument={"uri": path.as_uri()})

    def ask(self, method: str, path: Path, **parameters: Any) -> Any:
        """The answer to a request about a document."""
        return self.call(f"textDocument/{method}", textDocument={"uri": path.as_uri()}, **parameters)

    def ask_or_refuse(self, method: str, path: Path, **parameters: Any) -> Any:
        """The answer, or the message of the error."""
        message = self._answer(f"textDocument/{method}", textDocument={"uri": path.as_uri()}, **parameters)
        return message["error"]["message"] if "error" in message else message["result"]

    def refused(self, method: str, **parameters: Any) -> str:
        """The message of the error that is the answer to a request."""
        return str(self._answer(method, **parameters)["error"]["message"])

    def _diagnostics(self, path: Path) -> list[Any]:
        """Those of the current version, as soon as they are there."""
        while True:
            message = self._next()
            published = message.get("params", {})
            if (published.get("uri"), published.get("version")) == (path.as_uri(), self.versions[path.as_uri()]):
                return self.shown[path.as_uri()]

    # -- messages ------------------------------------------------------------------------------------------------------

    def call(self, method: str, **parameters: Any) -> Any:
        message = self._answer(method, **parameters)
        assert "error" not in message, message
        return message["result"]

    def _answer(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": parameters})
        while True:
            message = self._next()
            if message.get("id") == self._number and "method" not in message:
                return message

    def notify(self, method: str, **parameters: Any) -> None:
        self._send({"method": method, "params": parameters})

    def end(self) -> int:
        """End the session; returns the exit code of the server."""
        self._number += 1
        self._send({"id": self._number, "method": "shutdown"})
        while self._next().get("id") != self._number:
            pass
        self._send({"method": "exit"})
        code = self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        return code

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def _next(self) -> Any:
        message = self._received.get(timeout=PATIENCE)
        assert message is not None, "the server has ended"
        if message.get("method") == "textDocument/publishDiagnostics":
            self.shown[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif message.get("method") == "window/showMessage":
            self.messages.append(message["params"]["message"])
        elif message.get("method") == "client/registerCapability":
            self.registered += message["params"]["registrations"]
            self._send({"id": message["id"], "result": None})
        elif message.get("method") == "window/showDocument":
            self.documents_shown.append(message["params"])
            self._send({"id": message["id"], "result": {"success": True}})
        return message

    def _receive(self) -> None:
        """Read messages until stdout ends; anything else there fails the session."""
        assert self.process.stdout is not None
        while header := self.process.stdout.readline():
            name, _, length = header.partition(b": ")
            if name != b"Content-Length":
                if name.startswith(b"Content-Type"):
                    continue
                break
            while self.process.stdout.readline().strip():
                pass
            self._received.put(json.loads(self.process.stdout.read(int(length))))
        self._received.put(None)

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        self.log = self.process.stderr.read().decode()


def position(text: str, mark: str, *, at: int = 0) -> dict[str, int]:
    """The position of `at` code points behind the start of a mark in a text, in units of UTF-16."""
    before = text[: text.index(mark) + at]
    line = before.rpartition("\n")[2]
    return {"line": before.count("\n"), "character": len(line.encode("utf-16-le")) // 2}


def edited(text: str, edits: list[Any]) -> str:
    """A text after edits of the protocol, which don't overlap."""
    starts = [0, *(i + 1 for i, c in enumerate(text) if c == "\n")]

    def offset(at: dict[str, int]) -> int:
        line = text[starts[at["line"]] :].partition("\n")[0]
        return starts[at["line"]] + len(line.encode("utf-16-le")[: 2 * at["character"]].decode("utf-16-le"))

    for edit in sorted(edits, key=lambda edit: offset(edit["range"]["start"]), reverse=True):
        text = text[: offset(edit["range"]["start"])] + edit["newText"] + text[offset(edit["range"]["end"]) :]
    return text

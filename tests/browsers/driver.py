"""Firefox, Safari's engine and Chromium without a window, by WebDriver (https://www.w3.org/TR/webdriver2/).

Debian has programs that take its commands by HTTP for WebKit and Chromium; Firefox has them built in, by another
transport (https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 1280, 880
KEYS = {
    "Control": "\ue009", "Shift": "\ue008", "Enter": "\ue007", "Escape": "\ue00c", "Tab": "\ue004", "F8": "\ue038",
    "Home": "\ue011", "ArrowRight": "\ue014",
}  # fmt: skip


class Failed(Exception):
    """What the browser says of a command."""


class Transport(ABC):
    """Takes a command of WebDriver by its endpoint, `("POST", "url", {"url": …})`, and gives its value."""

    @abstractmethod
    def __call__(self, method: str, endpoint: str, body: Mapping[str, Any]) -> Any: ...

    @abstractmethod
    def close(self) -> None: ...


class Http(Transport):
    def __init__(self, port: int, capabilities: Mapping[str, Any]) -> None:
        self._connection, self._session = HTTPConnection("127.0.0.1", port, timeout=120), ""
        self.session = self("POST", "", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"/{self.session['sessionId']}"

    def __call__(self, method: str, endpoint: str, body: Mapping[str, Any]) -> Any:
        path = f"/session{self._session}{'/' if endpoint else ''}{endpoint}"
        self._connection.request(method, path, json.dumps(body) if method == "POST" else None)
        answer = self._connection.getresponse()
        value = json.loads(answer.read())["value"]
        if answer.status >= 400:
            raise Failed(value["message"])
        return value

    def close(self) -> None:
        self._connection.close()


class Marionette(Transport):
    """Firefox's own: `length:[0, number, command, parameters]` over TCP, and `[1, number, error, result]` back."""

    COMMANDS: Mapping[tuple[str, str], str] = {
        ("POST", ""): "WebDriver:NewSession", ("DELETE", ""): "Marionette:Quit", ("POST", "url"): "WebDriver:Navigate",
        ("POST", "execute/sync"): "WebDriver:ExecuteScript", ("POST", "execute/async"): "WebDriver:ExecuteAsyncScript",
        ("POST", "actions"): "WebDriver:PerformActions", ("POST", "timeouts"): "WebDriver:SetTimeouts",
        ("GET", "screenshot"): "WebDriver:TakeScreenshot", ("POST", "window/rect"): "WebDriver:SetWindowRect",
    }  # fmt: skip

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._stream = self._socket.makefile("rwb")
        self._number = 0
        self._receive()  # a greeting
        self.session = self("POST", "", {})

    def __call__(self, method: str, endpoint: str, body: Mapping[str, Any]) -> Any:
        more = {"full": False} if endpoint == "screenshot" else {}
        self._number += 1
        message = json.dumps([0, self._number, self.COMMANDS[method, endpoint], {**body, **more}]).encode()
        self._stream.write(b"%d:%b" % (len(message), message))
        self._stream.flush()
        _, _, error, result = self._receive()
        if error:
            raise Failed(error["message"])
        return result["value"] if set(result) == {"value"} else result

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def _receive(self) -> Any:
        length = b""
        while (byte := self._stream.read(1)) != b":":
            length += byte
        return json.loads(self._stream.read(int(length)))


class Page:
    """What a person does on a page, and what a test asks of it. Selectors are those of CSS."""

    def __init__(self, send: Transport, downloads: Path) -> None:
        self._send, self._downloads = send, downloads
        send("POST", "timeouts", {"script": 120_000, "pageLoad": 120_000})
        send("POST", "window/rect", {"width": WIDTH, "height": HEIGHT})

    def open(self, address: str) -> None:
        self._send("POST", "url", {"url": address})

    def run(self, script: str) -> None:
        """Runs JavaScript that the policy of the page would keep out."""
        self._send("POST", "execute/sync", {"script": script, "args": []})

    def ask(self, expression: str, *arguments: object) -> Any:
        """The value of a JavaScript expression, which may be a promise; `$` and `$$` find elements."""
        script = (
            "const [done, ...args] = [arguments[arguments.length - 1], ...arguments];"
            "const $ = (s) => document.querySelector(s), $$ = (s) => [...document.querySelectorAll(s)];"
            f"(async () => ({expression}))().then((value) => done({{ value }}), (e) => done({{ error: `${{e}}` }}));"
        )
        result = self._send("POST", "execute/async", {"script": script, "args": list(arguments)})
        if "error" in result:
            raise Failed(f"{expression}: {result['error']}")
        return result.get("value")

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.ask("$$(args[0]).map((e) => e.textContent)", selector)
        return found

    def wait(self, expression: str, *arguments: object, seconds: float = 60) -> Any:
        """The value of an expression once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.ask(expression, *arguments)):
            if time.monotonic() > end:
                raise TimeoutError(expression)
            time.sleep(0.02)
        return value

    def press(self, *keys: str) -> None:
        """Presses keys, which are held until the last is pressed: `press("Control", ".")`."""
        codes = [KEYS.get(key, key) for key in keys]
        downs = [{"type": "keyDown", "value": code} for code in codes]
        self._act("key", [*downs, *({"type": "keyUp", "value": code} for code in reversed(codes))])

    def hover(self, selector: str, text: str = "") -> tuple[int, int]:
        """Moves the pointer to the middle of an element with a text, best with that alone, and gives the place."""
        self.wait("$$(args[0]).some((e) => e.textContent.includes(args[1]))", selector, text)
        x, y = self.ask(
            "(() => { const all = $$(args[0]), alone = all.find((e) => e.textContent === args[1]);"
            "const e = alone ?? all.find((e) => e.textContent.includes(args[1]));"
            "e.scrollIntoView({ block: 'nearest', inline: 'nearest' }); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2].map(Math.round); })()",
            selector,
            text,
        )
        self.move((x, y))
        return x, y

    def move(self, *places: tuple[int, int], drawing: bool = False) -> None:
        """Moves the pointer along places; `drawing` with its button down from the first to the last."""
        moves = [{"type": "pointerMove", "x": x, "y": y, "duration": 30, "origin": "viewport"} for x, y in places]
        down, up = ({"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp"))
        self._act("pointer", [moves[0], down, *moves[1:], up] if drawing else moves)

    def click(self, selector: str, text: str = "") -> None:
        self.move(self.hover(selector, text), drawing=True)

    def shot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self._send("GET", "screenshot", {})))

    def saved(self, selector: str, name: str) -> Path:
        """The file of a name that a click on a button saves, which is there before it is whole, beside another."""
        self.click(selector)
        end, file = time.monotonic() + 30, self._downloads / name
        while [*self._downloads.iterdir()] != [file] or not file.stat().st_size:
            if time.monotonic() > end:
                raise TimeoutError(f"{name} isn't saved by {selector}")
            time.sleep(0.1)
        return file

    def _act(self, kind: str, actions: Sequence[Mapping[str, Any]]) -> None:
        parameters = {"parameters": {"pointerType": "mouse"}} if kind == "pointer" else {}
        self._send("POST", "actions", {"actions": [{"type": kind, "id": kind, **parameters, "actions": actions}]})


# -- browsers ----------------------------------------------------------------------------------------------------------


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@contextmanager
def _running(command: Sequence[object], **environment: str) -> Iterator[None]:
    process = subprocess.Popen(
        [str(part) for part in command],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def _session(connect: Callable[[], Transport], downloads: Path) -> Iterator[Page]:
    """A page of a browser that has just been started."""
    end = time.monotonic() + 30
    while True:
        try:
            send = connect()
            break
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
    try:
        yield Page(send, downloads)
    finally:
        with suppress(OSError, Failed):
            send("DELETE", "", {"flags": ["eForceQuit"]})
        send.close()


def _downloads(folder: Path) -> Path:
    """Where what is saved goes."""
    downloads = folder / "downloads"
    downloads.mkdir(exist_ok=True)
    return downloads


@contextmanager
def firefox(folder: Path) -> Iterator[Page]:
    port = _port()
    settings = {
        "marionette.port": port,
        "browser.download.folderList": 2,  # the folder that comes next
        "browser.download.dir": str(_downloads(folder)),
    }
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in settings.items())
    (folder / "user.js").write_text("".join(lines))
    program = shutil.which("firefox") or shutil.which("firefox-esr")
    window = ["--width", WIDTH, "--height", HEIGHT]
    with (
        _running(
            [program, "--headless", "--marionette", "--no-remote", "--profile", folder, *window], HOME=str(folder)
        ),
        _session(lambda: Marionette(port), _downloads(folder)) as page,
    ):
        yield page


@contextmanager
def webkit(folder: Path) -> Iterator[Page]:
    """The engine of Safari, in the small browser that WebKitGTK has for tests, on a screen in memory."""
    [program, *_] = MINI_BROWSERS
    port, screen = _port(), f":{_port()}"
    (folder / ".config").mkdir()
    (folder / ".config/user-dirs.dirs").write_text(f'XDG_DOWNLOAD_DIR="{_downloads(folder)}"\n')
    with ExitStack() as running:
        running.enter_context(_running(["Xvfb", screen, "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]))
        running.enter_context(
            _running(["WebKitWebDriver", f"--port={port}"], DISPLAY=screen, HOME=str(folder), GDK_BACKEND="x11")
        )
        options = {"binary": str(program), "args": ["--automation"]}
        with _session(lambda: Http(port, {"webkitgtk:browserOptions": options}), _downloads(folder)) as page:
            yield page


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    port = _port()
    with _running(["chromedriver", f"--port={port}"], HOME=str(folder)):
        preferences = {"download.default_directory": str(_downloads(folder))}
        options = {"args": ["--headless", "--no-sandbox", "--disable-gpu"], "prefs": preferences}
        with _session(lambda: Http(port, {"goog:chromeOptions": options}), _downloads(folder)) as page:
            yield page


MINI_BROWSERS = sorted(Path("/usr").glob("lib*/**/webkit2gtk-4.*/MiniBrowser"))
BROWSERS = {"chromium": chromium, "firefox": firefox, "webkit": webkit}


def missing(browser: str) -> str:
    """What has to be installed for a browser; nothing if all is there."""
    if browser == "firefox":
        return "" if shutil.which("firefox") or shutil.which("firefox-esr") else "firefox-esr"
    needed = {
        "chromium": {"chromedriver": "chromium-driver"},
        "webkit": {"WebKitWebDriver": "webkit2gtk-driver", "Xvfb": "xvfb"},
    }
    return " ".join(package for program, package in needed[browser].items() if shutil.which(program) is None)

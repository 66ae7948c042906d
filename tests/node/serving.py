"""Files for a browser, from this machine to this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

# Debian's name, those of other distributions, and Google's own build.
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


class Handler(SimpleHTTPRequestHandler):
    """Serves the folders of `places`, each under its path; `/` is one of them. `requests` gets the paths asked for."""

    def __init__(self, *arguments: Any, places: Mapping[str, Path], requests: list[str], **options: Any) -> None:
        self.places, self.requests = places, requests
        super().__init__(*arguments, **options)

    def translate_path(self, path: str) -> str:
        self.requests.append(path)
        place = max((p for p in self.places if path.startswith(p)), key=len)
        self.directory = str(self.places[place])
        return super().translate_path("/" + path.removeprefix(place))

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def serving(places: Mapping[str, Path], requests: list[str] | None = None) -> Iterator[str]:
    """The address under which the folders are served; `requests` gets the paths that are asked for."""
    kept = [] if requests is None else requests
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, places=places, requests=kept)) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()

"""The command line, run in this process and in a folder of its own."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wsdl.cli import execute

TIED = """\
model m(x: f32[n, 64]) -> (y: f32[n, 64]) {
    layer encode = Dense(16)
    layer decode = Dense(64)
    share { encode.weight, decode.weight.T }
    return x |> encode |> relu |> decode
}
"""
TWO = """\
layer encoder = Dense(64)

model embed(x: f32[n, 32]) -> (vector: f32[n, 64]) {
    return encoder(x)
}

model classify(x: f32[n, 32]) -> (logits: f32[n, 10]) {
    return encoder(x) |> relu |> Dense(10)
}
"""
WRONG = """\
model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    return rellu(x)
}
"""


@dataclass(frozen=True)
class Done:
    """What a command gave: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer with `--json`; nothing else may have been written anywhere."""
        assert self.err == ""
        answer = json.loads(self.out)
        assert answer["format_version"] == 1
        return answer

    @property
    def codes(self) -> list[str]:
        return [diagnostic["code"] for diagnostic in self.json["diagnostics"]]


Wsdl = Callable[..., Done]


@pytest.fixture
def wsdl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Wsdl:
    """`wsdl("check", "m.wsd")`, with `stdin=` as bytes; the files `tied.wsd`, `two.wsd` and `wrong.wsd` are there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for name, text in (("tied", TIED), ("two", TWO), ("wrong", WRONG)):
        Path(f"{name}.wsd").write_text(text, encoding="utf-8")

    def command(*arguments: str | Path, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = execute([str(argument) for argument in arguments])
        sys.stdout.flush()
        sys.stderr.flush()
        written = capfdbinary.readouterr()
        return Done(code, written.out.decode("utf-8"), written.err.decode("utf-8"))

    return command

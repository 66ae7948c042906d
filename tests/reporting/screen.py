"""What a terminal shows of a text with control codes: those that Rich's live view uses, and no others."""

from __future__ import annotations

import re

_PARTS = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Screen:
    """`lines` as they stand on the screen; `cursor` is whether one can be seen."""

    def __init__(self, text: str) -> None:
        self.lines = [""]
        self.cursor = True
        self._row = self._column = 0
        end = 0
        for part in _PARTS.finditer(text):
            assert part.start() == end, f"unknown code in {text[end : part.start()]!r}"
            end = part.end()
            argument, code, move, shown = part.groups()
            if code:
                self._control(argument, code)
            elif move == "\n":
                self._row, self._column = self._row + 1, 0
                self.lines += [""] * (self._row + 1 - len(self.lines))
            elif move:
                self._column = 0
            else:
                self._write(shown)
        assert end == len(text)

    def _control(self, argument: str, code: str) -> None:
        if code == "A":
            self._row = max(self._row - int(argument or 1), 0)
        elif (argument, code) == ("2", "K"):
            self.lines[self._row] = ""
        elif code in "hl" and argument == "?25":
            self.cursor = code == "h"
        else:
            assert code == "m", f"unknown code {argument}{code}"

    def _write(self, text: str) -> None:
        line = self.lines[self._row].ljust(self._column)
        self.lines[self._row] = line[: self._column] + text + line[self._column + len(text) :]
        self._column += len(text)

    def __str__(self) -> str:
        return "".join(f"{line.rstrip()}\n" for line in self.lines).rstrip("\n") + "\n"

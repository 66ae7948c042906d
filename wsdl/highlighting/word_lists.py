"""The lists of words in the files of Vim and Emacs, whose patterns are not those of the others."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from wsdl.highlighting.patterns import INFIX
from wsdl.highlighting.words import words

_VIM = {
    "reserved": "wsdlKeyword",
    "operators": "wsdlWordOperator",
    "constants": "wsdlConstant",
    "blocks": "wsdlStandardBlock",
}


def with_words(text: str, lines: str) -> str:
    """The text with these lines between its comments `BEGIN words` and `END words`."""
    return re.sub(r"(?<=BEGIN words\n).*?(?=^\S+ END words$)", lambda _: lines, text, flags=re.DOTALL | re.MULTILINE)


def vim() -> str:
    """Lines of a syntax file of Vim. What is a keyword everywhere is one of Vim's, the rest are matches."""
    known = words()
    infix = _alternatives(tuple(sorted({*INFIX, *known["operators"], "if", "else", "for"})))
    functions, types = _alternatives(known["functions"]), _alternatives(known["types"])
    contextual = _alternatives(known["contextual"])
    lines = [f"syntax keyword {group} {' '.join(known[kind])}" for kind, group in _VIM.items()]
    lines.append(rf"syntax match wsdlType /[:|]\s*\zs{types}/")
    lines.append(rf"syntax match wsdlFunction /{functions}\ze(\||>\s*\zs{functions}/")
    lines.append(rf'syntax match wsdlKeyword /\.\@1<!{contextual}\ze\s\+\%({infix}\)\@![[:alnum:]_"]/')
    return "".join(f"{line}\n" for line in lines)


def _alternatives(members: tuple[str, ...]) -> str:
    joined = r"\|".join(members)
    return rf"\<\%({joined}\)\>"


def emacs() -> str:
    """Definitions of lists in Emacs Lisp."""

    def definitions() -> Iterator[str]:
        for kind, members in {**words(), "infix": INFIX}.items():
            listed = textwrap.fill(" ".join(f'"{word}"' for word in members), 110, break_on_hyphens=False)
            yield f"(defconst wsdl--{kind}-words\n  '({textwrap.indent(listed, '    ').lstrip()}))\n"

    return "".join(definitions())

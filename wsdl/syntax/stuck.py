"""The mistakes at which the parser gets stuck, the special ones first.

See `Mistake` for what the fields mean.
"""

from __future__ import annotations

from wsdl.syntax.mistakes import IN_MODEL, KEYWORDS, NAME, UNEXPECTED, VALUE, Mistake
from wsdl.syntax.stuck_statements import STATEMENTS
from wsdl.syntax.stuck_words import WORDS_AND_SIGNS

_VALUES: tuple[Mistake, ...] = (
    # -- values --------------------------------------------------------------------------------------------------------
    Mistake(
        "E0113",
        "`,` is missing",
        "expected `,` before this",
        before=r"[\w)\]\"]\s*$",
        at=r"[\w\"]",
        expects=("COMMA",),
        inside="([{",
        insert=",",
        examples=("let a = [1 2]", "let a = f(x y)", "model m(x: f32[n] y: f32[n]) { return x }", "share { a.w b.w }"),
    ),
    Mistake(
        "E0132",
        "there are no tuples",
        "several values need no parentheses",
        "write `{values}`",
        statement=rf"(return\s+|{NAME}(\s*,\s*{NAME})+\s*=\s*)(?P<mark>\((?P<values>([^()]|\([^()]*\))+?)\s*,?\s*\))$",
        at=r",",
        inside="(",
        expects=("RPAR",),
        replacement="{values}",
        examples=(IN_MODEL % "return (x, relu(x))", IN_MODEL % "a, b = (x, x)", IN_MODEL % "return (f(x), x,)"),
    ),
    Mistake(
        "E0132",
        "there are no tuples",
        "parentheses contain one value",
        "write a list as `[a, b]`; `return` takes several values without parentheses",
        at=r",",
        inside="(",
        expects=("RPAR",),
        examples=("let a = (1, 2)", IN_MODEL % "y = f((x, x))", IN_MODEL % "return(x, x)"),
    ),
    Mistake(
        "E0132",
        "wsdl has no dictionaries",
        "syntax of another language",
        "results have names: `return {name}=…`",
        before=r"return\s*$",
        at=rf'(?P<mark>\{{\s*"?(?P<name>{NAME})"?\s*:.*\}})',
        examples=(
            IN_MODEL % 'return {"y": x}',
            IN_MODEL % "return {'y': x, 'z': f(x)}",
            IN_MODEL % "return {\n        y: x,\n        z: x,\n    }",
        ),
    ),
    Mistake(
        "E0132",
        "wsdl has no dictionaries and sets",
        "syntax of another language",
        "the only collections are lists: `[a, b]`",
        at=r"(?P<mark>\{(.*\})?)",
        before=r"[=(,\[:]\s*$|(return|emit)\s*$",
        expects=VALUE,
        inside="-([",
        examples=(
            "let a = {}",
            "let a = {1, 2}",
            IN_MODEL % 'y = relu(x, {"axis": 1, "b": {"c": 2}})',
            IN_MODEL % "y = f([{'a': 1}])",
            IN_MODEL % "y = {i: x for i in 0..3}",
            IN_MODEL % "return {x}",
        ),
    ),
    Mistake(
        "E0132",
        "wsdl has no unpacking",
        "syntax of another language",
        "write the values one by one; lists are joined by `+`",
        at=r"\*\*?",
        before=r"[=(,\[:]\s*$|return\s*$",
        expects=VALUE,
        inside="-([",
        examples=("let a = f(*b)", "let a = f(x, **b)", "let a = [*b, 1]"),
    ),
    Mistake(
        "E0132",
        "a list isn't unpacked into another one",
        "only allowed in types",
        "join the lists: `[n] + rest`",
        at=r"\.\.\.",
        expects=VALUE,
        inside="[(",
        examples=("let a = [1, ...rest]", IN_MODEL % "y = x.reshape([n, ...rest])"),
    ),
    Mistake(
        "E0112",
        "a value is missing after `{mark}`",
        "nothing follows",
        before=r"(?P<mark>\|>|->|[=!<>]=|\*\*|//|[-=+*/%@<>,(\[:]|\.\.|\b(return|emit|in|and|or|not|along|with|if))\s*$",
        at=r"\s*($|[\n)\]},{])",
        expects=("NAME",),
        examples=(
            "let a =",
            "let a = 1 +",
            IN_MODEL % "y = x |>",
            IN_MODEL % "return",
            "let a = [1, , 2]",
            IN_MODEL % "for i in {\n    }",
            "let a = (2 * )",
        ),
    ),
    Mistake(
        "E0114",
        "each statement needs a line of its own",
        "a second statement on this line",
        at=rf"({KEYWORDS})\b|(layer|state|freeze|load|block|model|train|loss|metric|optimizer)\s+{NAME}|{NAME}\s*(,\s*{NAME}\s*)*=(?!=)",
        before=r"\S\s*$",
        expects=("PLUS",),
        inside="-",
        examples=("let a = 1 let b = 2", IN_MODEL % "y = x z = x", IN_MODEL % "y = x return y"),
    ),
    Mistake(
        "E0114",
        "two values without an operator between them",
        "an operator is missing before this",
        at=r"[\w\"]",
        before=r"[\w)\]\"]\s*$",
        expects=("PLUS",),
        inside="-",
        examples=("let a = 3 4", "let a = b c", 'let a = f"text"'),
    ),
    Mistake(
        "E0106",
        "unexpected character {character}",
        "{advice}",
        at=r"(?P<mark>[^\w \t\r\n\f\"#()\[\]{},.:=+*/%@<>|!&~^-])",
        examples=(
            "let a = b $ c",
            "let a = “text”",
            "let a = b \\\n    + 1",
            "let a\u00a0= 3",
            "let a = `b`",
            "model m(x: f32[n]) → f32[n] { return x }",
            "let a = \x00",
        ),
    ),
    Mistake(
        UNEXPECTED.code,
        UNEXPECTED.message,
        UNEXPECTED.label,
        "{form}",
        examples=(
            "let 3 = 4",
            "let a 3",
            "load into a",
            "x",
            IN_MODEL % "for 3 in x { }",
            IN_MODEL % "y = scan a in b with c = d { }",
            "share a.w, b.w",
        ),
    ),
)

STUCK = (*WORDS_AND_SIGNS, *STATEMENTS, *_VALUES)

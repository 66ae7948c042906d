"""Common syntax errors, and their messages.

Each mistake has its code, its texts, the conditions that recognize it and examples, which a test runs. Those without
patterns are recognized before the grammar (`layout.py`) or after it (`tree_builder.py`); the others are in `stuck.py`.
The page of a code is `wsdl/diagnostics/codes/<CODE>.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wsdl.diagnostics import Edit, Label, Problems
from wsdl.diagnostics.span import Span


@dataclass(frozen=True)
class Mistake:
    """The texts of a message, with facts in braces, and `examples` of programs with this as their only error.

    The patterns are matched against the statement in which the parser got stuck: `statement` against all of it,
    `before` against the text that ends at the place, `at` against the text that begins there. `expects` are terminals
    that the parser would have accepted, `inside` the innermost open brackets (`-` for none), `level` whether the
    statement is at file level. The message points at the group `mark`, which `fixes` replaces, or a `replacement` with
    facts; `insert` is the text missing before the place.
    """

    code: str
    message: str
    label: str = ""
    help: str | None = None
    examples: tuple[str, ...] = ()
    statement: str = ""
    before: str = ""
    at: str = ""
    expects: tuple[str, ...] = ()
    inside: str = ""
    level: str = ""
    fixes: Mapping[str, str] = field(default_factory=dict)
    replacement: str = ""
    insert: str = ""

    def report(
        self,
        problems: Problems,
        span: Span,
        *,
        labels: Iterable[Label] = (),
        fix: Iterable[Edit] = (),
        **facts: object,
    ) -> None:
        problems.error(
            self.code,
            span,
            self.message.format(**facts),
            self.label.format(**facts),
            labels=labels,
            help=self.help.format(**facts) if self.help else None,
            fix=fix,
        )


NAME = r"[^\W\d]\w*"
KEYWORDS = "let|param|share|for|if|else|return|emit|scan|and|or|not|true|false|none"
VALUE = ("NUMBER",)  # a terminal that the grammar accepts where it expects a value
# Programs around the examples of mistakes in statements.
IN_MODEL = "model m(x: f32[n]) {\n    %s\n    return x\n}"
IN_BLOCK = "block A(units: int)(x: [n, d]) -> [n, units] {\n    %s\n    return x\n}"

# -- recognized before the grammar -------------------------------------------------------------------------------------

UNCLOSED = Mistake(
    "E0102",
    "`{sign}` is never closed",
    "no matching `{closing}`",
    examples=(
        "let a = (1 + 2\nlet b = 3",
        "let a = [1, 2\n",
        "model m(x: f32[n]) {\n    y = relu(x\n    return y\n}",
        "model m(x: f32[n]) {\n    if a {\n        y = x\n    return x\n}",
        "block A()(x: [d]) {\n    return x\n\nblock B()(x: [d]) {\n    return x\n}",
        "model m(x: f32[n]) {\n    for i in range(3 {\n        x = x + i\n    }\n    return x\n}",
    ),
)
UNOPENED = Mistake(
    "E0103",
    "unmatched `{sign}`",
    "no open bracket matches this",
    examples=("let a = 1 + 2)", "model m(x: f32[n]) {\n    return x\n}\n}", "let a = 2]"),
)
WRONG_CLOSING = Mistake(
    "E0103", "`{sign}` can't close `{opening}`", "expected `{closing}`", examples=("let a = [1, 2)", "let a = f(1]")
)
OPEN_STRING = Mistake(
    "E0104",
    "this string isn't closed",
    'no `"` before the end of the line',
    examples=('let a = "hello', 'freeze a\nload "x.npz into a\n', 'let a = "one\\"'),
)
SINGLE_QUOTES = Mistake(
    "E0105", "strings are written in double quotes", 'write `"…"`', examples=("let a = 'same'", "let a = [\"x\", 'y']")
)
TOO_DEEP = Mistake(
    "E0109",
    "nested too deeply",
    "more than {limit} levels",
    "assign parts of it to names",
    examples=("let a = " + "(" * 120 + "1" + ")" * 120, "let a = " + "-" * 300 + "1", "let a = 1" + " + 1" * 300),
)
SEMICOLON = Mistake(
    "E0115",
    "statements end at the end of the line, not with `;`",
    "remove this",
    examples=("let a = 3;", "model m(x: f32[n]) { y = x; return y }"),
)
LINE_GOES_ON = Mistake(
    "E0136",
    "a line doesn't continue after `{sign}`",
    "the line ends here",
    "put the value in parentheses, or begin the next line with `|>`",
    examples=(
        "model m(x: f32[n]) {\n    return x |>\n        relu\n}",
        "model m(x: f32[n]) {\n    y = x +\n        1\n    return y\n}",
        "let a =\n    3",
    ),
)
FOREIGN_COMMENT = Mistake(
    "E0116",
    "comments begin with `#`",
    "comment syntax of another language",
    examples=("// the width\nlet a = 3", "let a = 3 /* wide */"),
)
DOCSTRING = Mistake(
    "E0117",
    "documentation is written as `##` comments",
    "a Python docstring",
    "put the lines above the declaration, each beginning with `##`",
    examples=('block A()(x: [d]) {\n    """Adds."""\n    return x\n}',),
)

# -- recognized after the grammar --------------------------------------------------------------------------------------

NUMBER = Mistake(
    "E0107",
    "invalid number",
    "{problem}",
    help="numbers are written `64`, `100_000`, `0.5`, `1e-3`",
    examples=("let a = 1.e5", "let a = 1e999", "let a = " + "9" * 5000),
)
ODD_NAME = Mistake(
    "E0106",
    "`{name}` can't be a name",
    "names contain only letters, digits and `_`",
    examples=("let x² = 3", "let a = ½ + b"),
)
ESCAPE = Mistake(
    "E0108",
    "unknown escape `{escape}` in a string",
    help=r"the escapes are `\"`, `\\`, `\n` and `\t`; a backslash is written `\\`",
    examples=(r'let a = "C:\data"', r'let a = "\d"'),
)
PYTHON_CONSTANT = Mistake(
    "E0123",
    "`{word}` is written `{meant}`",
    examples=("let a = True", "let a = [None, false]", "let a = f(x, bias=False)"),
)
PYTHON_RANGE = Mistake(
    "E0128",
    "ranges are written with `..`",
    help="write `{meant}`",
    examples=("model m(x: f32[n]) {\n    for i in range(3) { x = x + i }\n    return x\n}",),
)
POSITIONAL = Mistake(
    "E0133",
    "a positional argument follows a named one",
    "name it, or move it before the named arguments",
    examples=("let a = f(x, axis=1, 2)",),
)
RESULTS = Mistake(
    "E0133",
    "a result without a name among results with names",
    "no name",
    "name all results of a `return`, or none",
    examples=(IN_MODEL.replace("return x", "return y=x, x") % "y = x",),
)
CHAIN = Mistake(
    "E0134",
    "comparisons can't be chained",
    help="write `a < b and b < c`",
    examples=("let a = 1 < 2 < 3", "let a = 1 == 2 == 3"),
)
UNTYPED = Mistake(
    "E0144",
    "`{name}` has no type",
    "the type is missing here",
    "write `param {name}: [units, d] = …`; a formula needs the path of a layer's parameter, `param layer.{name} = …`",
    examples=(IN_BLOCK % "param weight = zeros",),
)
STAGE = Mistake(
    "E0135",
    "a value can't be piped into this",
    "not a block, a layer or an operation",
    "to continue computing with the result, put the pipeline in parentheses: `(x |> f) + 1`",
    examples=("let a = x |> f + 1", "let a = x |> 3", "let a = x |> [f]", "let a = x |> -f"),
)
PLACEHOLDER = Mistake(
    "E0152",
    "the placeholder `{placeholder}` is only allowed in the lines of a `load`",
    examples=("freeze a.{p}", "model m(x: f32[n]) {\n    return x.{p}\n}"),
)
OUTSIDE_TRAIN = Mistake(
    "E0153",
    "`{word}` belongs to training and isn't allowed in {where}",
    "not part of the computation",
    "declare the training separately: `train model(targets) {{ … }}`",
    examples=(
        "model m(x: f32[n]) {\n    metric right = mean(x)\n    return x\n}",
        "block A()(x: [d]) {\n    if a {\n        optimizer SGD(lr=0.1)\n    }\n    return x\n}",
    ),
)
INSIDE_TRAIN = Mistake(
    "E0154",
    "`{word}` isn't allowed in {where}",
    "belongs in the model",
    "a `train` contains `loss`, `metric`, `optimizer`, `freeze`, `lr`, `weight`, `update`, `carry`, assignments, `if` "
    "and `for`",
    examples=(
        "train m(y: f32[n]) {\n    layer head = Dense(3)\n    loss mse(head(x), y)\n    optimizer SGD(lr=0.1)\n}",
        "train m(y: f32[n]) {\n    optimizer SGD(lr=0.1)\n    return mse(x, y)\n}",
    ),
)
OUTSIDE_VARIANT = Mistake(
    "E0141",
    "`{word}` isn't allowed in {where}",
    "inside another declaration",
    "write `train` at file level or, without a list of targets, in a variant",
    examples=(
        "model m(x: f32[n]) {\n    train m {\n        freeze a\n    }\n    return x\n}",
        "train m() {\n    loss a\n    train m {\n        freeze a\n    }\n    optimizer SGD(lr=0.1)\n}",
    ),
)
UNNAMED_LOSS = Mistake(
    "E0160",
    "a loss in {where} needs a name",
    "a name and `=` are missing after this",
    "write `loss name = …` for a loss that each training adds; a loss that reads targets belongs in a `train`",
    examples=("model m(x: f32[n]) {\n    loss mean(x ** 2)\n    return x\n}",),
)
CLAUSE = Mistake(
    "E0162",
    "a `for` has as many names as lists",
    "{names} for {series}",
    "`for a, b in left, right` iterates over two lists in parallel",
    examples=(
        "let a = [i + j for i, j in [1, 2]]",
        "model m(x: f32[n]) {\n    for i in 0..3, 0..3 {\n        x = x + i\n    }\n    return x\n}",
    ),
)
EXTENT = Mistake(
    "E0161",
    "`{written}` says two things",
    "{problem}",
    "`shared param … per group` is one for all weights of all members, `param … per member` one for all weights of one",
    examples=(
        "block A()() -> [rows, columns] {\n    shared param a: [1, 1] per member\n    return a\n}",
        "block A()() -> [rows, columns] {\n    param a: [1, 1] per group\n    return a\n}",
    ),
)
INSIDE_VARIANT = Mistake(
    "E0157",
    "`{word}` isn't allowed in {where}",
    "would change the computation",
    "a variant contains `share`, `param PATH = …`, `freeze`, `load`, `limit` and `train model {{ … }}`",
    examples=(
        "variant wide {\n    layer head = Dense(3)\n}",
        "variant wide {\n    for i in 0..3 {\n        share { a[i], b[i] }\n    }\n}",
        "variant wide {\n    width = 4\n}",
    ),
)
INSIDE_CHANGES = Mistake(
    "E0157",
    "`{word}` isn't allowed in {where}",
    "the same in all variants",
    "the `train` of a variant contains only `freeze` and `lr`",
    examples=("variant slow {\n    train m {\n        loss mse(x, y)\n    }\n}",),
)
UNEXPECTED = Mistake("E0101", "unexpected {found}", "expected {expected}")

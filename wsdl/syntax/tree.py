"""The syntax tree: what the file says, nothing about what it means.

Every node has the span of its whole text. Names that stand in a declaration are `Name`s of their own, so that a message
can point at them. Nothing changes a node that was made. (That they are frozen isn't said to Python: making so many
frozen classes takes it 15 ms, each time that it starts.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from wsdl.span import Source, Span

# -- expressions -------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Node:
    span: Span


@dataclass(eq=False)
class Name(Node):
    text: str


@dataclass(eq=False)
class Number(Node):
    """`text` is as written (`100_000`, `1e-3`)."""

    text: str
    value: int | float


@dataclass(eq=False)
class String(Node):
    value: str


@dataclass(eq=False)
class Constant(Node):
    """`true`, `false`, `none`."""

    value: bool | None


@dataclass(eq=False)
class List(Node):
    items: tuple[Expression, ...]


@dataclass(eq=False)
class Unary(Node):
    """`-x`, `not x`."""

    operator: str
    operand: Expression


@dataclass(eq=False)
class Binary(Node):
    """`+ - * / // % ** @`, `== != < <= > >=`, `and or`; `operator_span` is the sign itself."""

    operator: str
    operator_span: Span
    left: Expression
    right: Expression


@dataclass(eq=False)
class Pipe(Node):
    """`value |> stage`."""

    value: Expression
    stage: Expression


@dataclass(eq=False)
class Argument(Node):
    """One argument of a call, with its name where it has one."""

    name: Name | None
    value: Expression


@dataclass(eq=False)
class Call(Node):
    function: Expression
    arguments: tuple[Argument, ...]


@dataclass(eq=False)
class Field(Node):
    """`object.name`; in the paths of `load` the name may be a placeholder, `{p}`, braces included."""

    object: Expression
    name: Name


@dataclass(eq=False)
class Slice(Node):
    """`a:b:c` inside brackets."""

    start: Expression | None
    stop: Expression | None
    step: Expression | None


@dataclass(eq=False)
class Star(Node):
    """`*` inside brackets: every layer of an array."""


@dataclass(eq=False)
class Ellipsis(Node):
    """`...` in a type or inside brackets."""


@dataclass(eq=False)
class Index(Node):
    object: Expression
    subscripts: tuple[Subscript, ...]


@dataclass(eq=False)
class Range(Node):
    """`start..stop` of a `for`, the stop not included."""

    start: Expression
    stop: Expression


Expression: TypeAlias = "Name | Number | String | Constant | List | Unary | Binary | Pipe | Call | Field | Index"
Subscript: TypeAlias = "Expression | Slice | Star | Ellipsis"


@dataclass(eq=False)
class Type(Node):
    """`f32[n, t, 2 * d]`; without brackets a scalar, without a dtype any float dtype."""

    dtype: Name | None
    dims: tuple[Expression | Ellipsis, ...]


# -- statements --------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Let(Node):
    name: Name
    value: Expression
    doc: str = ""


@dataclass(eq=False)
class Assign(Node):
    """`a = x`, `a, b = f(x)`, `a, b = x, y`."""

    targets: tuple[Name, ...]
    values: tuple[Expression, ...]


@dataclass(eq=False)
class Layer(Node):
    """`layer f = Dense(64)`, `layer blocks[12] = Block()`."""

    name: Name
    count: Expression | None
    value: Expression
    doc: str = ""


@dataclass(eq=False)
class Parameter(Node):
    """`param weight: [units, d] = kaiming_uniform`, `state running_mean: [c] = zeros`."""

    kind: Literal["param", "state"]
    name: Name
    type: Type
    initializer: Expression | None
    doc: str = ""


@dataclass(eq=False)
class Clause(Node):
    """`i in 0..3`: the head of a `for`."""

    name: Name
    values: Expression | Range


@dataclass(eq=False)
class Share(Node):
    """`share name { members except exceptions } for i in 0..3`."""

    name: Name | None
    members: tuple[Expression, ...]
    exceptions: tuple[Expression, ...]
    clause: Clause | None


@dataclass(eq=False)
class Freeze(Node):
    """`freeze encoder, head.bias eval`; the mode is `eval`, `train` or left out."""

    paths: tuple[Expression, ...]
    mode: Name | None = None


@dataclass(eq=False)
class Limit(Node):
    """`limit params 100_000`."""

    kind: Name
    value: Expression


@dataclass(eq=False)
class Mapping(Node):
    """`"embeddings.{i}.weight" -> blocks[i].weight` of a `load`."""

    pattern: String
    target: Expression


@dataclass(eq=False)
class Load(Node):
    """`load "x.safetensors" into encoder { … }`."""

    file: String
    target: Expression
    mappings: tuple[Mapping, ...]


@dataclass(eq=False)
class For(Node):
    clause: Clause
    body: tuple[Statement, ...]


@dataclass(eq=False)
class If(Node):
    """`else if` is an `If` alone in `otherwise`."""

    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(eq=False)
class Binding(Node):
    """`xt in x` and `h = zeros([n, units])` of a `scan`."""

    name: Name
    value: Expression


@dataclass(eq=False)
class Scan(Node):
    """`states = scan xt in x along t with h = h0 { … }`; `targets` are empty where only the carried values are used."""

    targets: tuple[Name, ...]
    reverse: bool
    steps: tuple[Binding, ...]
    along: Expression
    carried: tuple[Binding, ...]
    body: tuple[Statement, ...]


@dataclass(eq=False)
class Emit(Node):
    values: tuple[Expression, ...]


@dataclass(eq=False)
class Return(Node):
    values: tuple[Expression, ...]


@dataclass(eq=False)
class Loss(Node):
    """`loss contrastive(distance, same, margin=1.0)`, in a `train`."""

    value: Expression


@dataclass(eq=False)
class Metric(Node):
    """`metric accuracy = mean(right)`, in a `train`."""

    name: Name
    value: Expression


@dataclass(eq=False)
class Optimizer(Node):
    """`optimizer AdamW(lr=1e-3)`, in a `train`; the function of `call` is a name."""

    call: Call


@dataclass(eq=False)
class LearningRate(Node):
    """`lr encoder, head.bias = 1e-4`, in a `train`."""

    paths: tuple[Expression, ...]
    value: Expression


Statement: TypeAlias = (
    "Let | Assign | Layer | Parameter | Share | Freeze | Limit | Load | For | If | Scan | Emit | Return"
    "| Loss | Metric | Optimizer | LearningRate"
)

# -- declarations ------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Configuration(Node):
    """`units: int = 64`; several types are alternatives: `int | list`."""

    name: Name
    types: tuple[Name, ...]
    default: Expression | None


@dataclass(eq=False)
class Input(Node):
    """`x: f32[n, d]`; one with a default (`mask: bool[n, t] = none`) may be left out."""

    name: Name
    type: Type
    default: Expression | None = None


@dataclass(eq=False)
class Output(Node):
    """A result: `[n, d]` or `(logits: f32[n, d])`."""

    name: Name | None
    type: Type


@dataclass(eq=False)
class Block(Node):
    """`outputs` is `None` where the types of the results are left out."""

    name: Name
    configuration: tuple[Configuration, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...] | None
    body: tuple[Statement, ...]
    doc: str = ""


@dataclass(eq=False)
class Model(Node):
    name: Name
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...] | None
    body: tuple[Statement, ...]
    doc: str = ""


@dataclass(eq=False)
class Train(Node):
    """`train siamese(same: f32[n]) { … }`: how the model `name` is trained, with targets beside its inputs."""

    name: Name
    targets: tuple[Input, ...]
    body: tuple[Statement, ...]
    doc: str = ""


@dataclass(eq=False)
class Import(Node):
    """`from "./encoder.wsd" import Encoder, Decoder`."""

    file: String
    names: tuple[Name, ...]


Declaration: TypeAlias = "Import | Let | Block | Model | Train | Layer | Share | Freeze | Load"


@dataclass(eq=False)
class Comment(Node):
    """`# text`, sign included; doc comments (`##`) are the `doc` of their declaration and stand here as well."""

    text: str


@dataclass(eq=False)
class File(Node):
    source: Source
    declarations: tuple[Declaration, ...]
    comments: tuple[Comment, ...]

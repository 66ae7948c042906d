"""The syntax tree: what the file says, nothing about what it means.

Every node has the span of its whole text. Names that stand in a declaration are `Name`s of their own, so that a message
can point at them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from wsdl.span import Source, Span

# -- expressions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Node:
    span: Span


@dataclass(frozen=True)
class Name(Node):
    text: str


@dataclass(frozen=True)
class Number(Node):
    """`text` is as written (`100_000`, `1e-3`)."""

    text: str
    value: int | float


@dataclass(frozen=True)
class String(Node):
    value: str


@dataclass(frozen=True)
class Constant(Node):
    """`true`, `false`, `none`."""

    value: bool | None


@dataclass(frozen=True)
class List(Node):
    items: tuple[Expression, ...]


@dataclass(frozen=True)
class Unary(Node):
    """`-x`, `not x`."""

    operator: str
    operand: Expression


@dataclass(frozen=True)
class Binary(Node):
    """`+ - * / // % ** @`, `== != < <= > >=`, `and or`; `operator_span` is the sign itself."""

    operator: str
    operator_span: Span
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Pipe(Node):
    """`value |> stage`."""

    value: Expression
    stage: Expression


@dataclass(frozen=True)
class Argument(Node):
    """One argument of a call, with its name where it has one."""

    name: Name | None
    value: Expression


@dataclass(frozen=True)
class Call(Node):
    function: Expression
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Field(Node):
    """`object.name`; in the paths of `load` the name may be a placeholder, `{p}`, braces included."""

    object: Expression
    name: Name


@dataclass(frozen=True)
class Slice(Node):
    """`a:b:c` inside brackets."""

    start: Expression | None
    stop: Expression | None
    step: Expression | None


@dataclass(frozen=True)
class Star(Node):
    """`*` inside brackets: every layer of an array."""


@dataclass(frozen=True)
class Ellipsis(Node):
    """`...` in a type or inside brackets."""


@dataclass(frozen=True)
class Index(Node):
    object: Expression
    subscripts: tuple[Subscript, ...]


@dataclass(frozen=True)
class Range(Node):
    """`start..stop` of a `for`, the stop not included."""

    start: Expression
    stop: Expression


Expression: TypeAlias = "Name | Number | String | Constant | List | Unary | Binary | Pipe | Call | Field | Index"
Subscript: TypeAlias = "Expression | Slice | Star | Ellipsis"


@dataclass(frozen=True)
class Type(Node):
    """`f32[n, t, 2 * d]`; without brackets a scalar, without a dtype any float dtype."""

    dtype: Name | None
    dims: tuple[Expression | Ellipsis, ...]


# -- statements --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Let(Node):
    name: Name
    value: Expression
    doc: str = ""


@dataclass(frozen=True)
class Assign(Node):
    """`a = x`, `a, b = f(x)`, `a, b = x, y`."""

    targets: tuple[Name, ...]
    values: tuple[Expression, ...]


@dataclass(frozen=True)
class Layer(Node):
    """`layer f = Dense(64)`, `layer blocks[12] = Block()`."""

    name: Name
    count: Expression | None
    value: Expression
    doc: str = ""


@dataclass(frozen=True)
class Parameter(Node):
    """`param weight: [units, d] = kaiming_uniform`, `state running_mean: [c] = zeros`."""

    kind: Literal["param", "state"]
    name: Name
    type: Type
    initializer: Expression | None
    doc: str = ""


@dataclass(frozen=True)
class Clause(Node):
    """`i in 0..3`: the head of a `for`."""

    name: Name
    values: Expression | Range


@dataclass(frozen=True)
class Share(Node):
    """`share name { members except exceptions } for i in 0..3`."""

    name: Name | None
    members: tuple[Expression, ...]
    exceptions: tuple[Expression, ...]
    clause: Clause | None


@dataclass(frozen=True)
class Freeze(Node):
    """`freeze encoder, head.bias`."""

    paths: tuple[Expression, ...]


@dataclass(frozen=True)
class Limit(Node):
    """`limit params 100_000`."""

    kind: Name
    value: Expression


@dataclass(frozen=True)
class Mapping(Node):
    """`"embeddings.{i}.weight" -> blocks[i].weight` of a `load`."""

    pattern: String
    target: Expression


@dataclass(frozen=True)
class Load(Node):
    """`load "x.safetensors" into encoder { … }`."""

    file: String
    target: Expression
    mappings: tuple[Mapping, ...]


@dataclass(frozen=True)
class For(Node):
    clause: Clause
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class If(Node):
    """`else if` is an `If` alone in `otherwise`."""

    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True)
class Binding(Node):
    """`xt in x` and `h = zeros([n, units])` of a `scan`."""

    name: Name
    value: Expression


@dataclass(frozen=True)
class Scan(Node):
    """`states = scan xt in x along t with h = h0 { … }`; `targets` are empty where only the carried values are used."""

    targets: tuple[Name, ...]
    reverse: bool
    steps: tuple[Binding, ...]
    along: Expression
    carried: tuple[Binding, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Emit(Node):
    values: tuple[Expression, ...]


@dataclass(frozen=True)
class Return(Node):
    values: tuple[Expression, ...]


@dataclass(frozen=True)
class Loss(Node):
    """`loss contrastive(distance, same, margin=1.0)`, in a `train`."""

    value: Expression


@dataclass(frozen=True)
class Metric(Node):
    """`metric accuracy = mean(right)`, in a `train`."""

    name: Name
    value: Expression


@dataclass(frozen=True)
class Optimizer(Node):
    """`optimizer AdamW(lr=1e-3)`, in a `train`; the function of `call` is a name."""

    call: Call


@dataclass(frozen=True)
class LearningRate(Node):
    """`lr encoder, head.bias = 1e-4`, in a `train`."""

    paths: tuple[Expression, ...]
    value: Expression


Statement: TypeAlias = (
    "Let | Assign | Layer | Parameter | Share | Freeze | Limit | Load | For | If | Scan | Emit | Return"
    "| Loss | Metric | Optimizer | LearningRate"
)

# -- declarations ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Configuration(Node):
    """`units: int = 64`; several types are alternatives: `int | list`."""

    name: Name
    types: tuple[Name, ...]
    default: Expression | None


@dataclass(frozen=True)
class Input(Node):
    """`x: f32[n, d]`; one with a default (`mask: bool[n, t] = none`) may be left out."""

    name: Name
    type: Type
    default: Expression | None = None


@dataclass(frozen=True)
class Output(Node):
    """A result: `[n, d]` or `(logits: f32[n, d])`."""

    name: Name | None
    type: Type


@dataclass(frozen=True)
class Block(Node):
    """`outputs` is `None` where the types of the results are left out."""

    name: Name
    configuration: tuple[Configuration, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...] | None
    body: tuple[Statement, ...]
    doc: str = ""


@dataclass(frozen=True)
class Model(Node):
    name: Name
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...] | None
    body: tuple[Statement, ...]
    doc: str = ""


@dataclass(frozen=True)
class Train(Node):
    """`train siamese(same: f32[n]) { … }`: how the model `name` is trained, with targets beside its inputs."""

    name: Name
    targets: tuple[Input, ...]
    body: tuple[Statement, ...]
    doc: str = ""


@dataclass(frozen=True)
class Import(Node):
    """`from "./encoder.wsd" import Encoder, Decoder`."""

    file: String
    names: tuple[Name, ...]


Declaration: TypeAlias = "Import | Let | Block | Model | Train | Layer | Share | Freeze | Load"


@dataclass(frozen=True)
class Comment(Node):
    """`# text`, sign included; doc comments (`##`) are the `doc` of their declaration and stand here as well."""

    text: str


@dataclass(frozen=True)
class File(Node):
    source: Source
    declarations: tuple[Declaration, ...]
    comments: tuple[Comment, ...]

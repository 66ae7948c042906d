"""The syntax tree: the form of a file, not its meaning.

Every node has the span of its text. Names in declarations are `Name` nodes, so that a message can point at them. Nodes
are immutable.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self, TypeAlias, dataclass_transform

from wsdl.diagnostics.span import Source, Span

# -- expressions -------------------------------------------------------------------------------------------------------


@dataclass_transform(eq_default=False)
class _Record:
    """Annotations are fields, as in a dataclass; so many dataclasses would take 15 ms at each start."""

    fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls.fields = (*cls.fields, *cls.__annotations__)

    def __init__(self, *values: Any, **named: Any) -> None:
        self.__dict__.update(zip(self.fields, values, strict=False), **named)

    def replaced(self, **changes: Any) -> Self:
        """A copy with other values in some fields."""
        return type(self)(**{**self.__dict__, **changes})


class Node(_Record):
    """A node of the tree; `span` is its text."""

    span: Span


class Name(Node):
    """`hidden`; also a name in a declaration, a dtype, a contextual keyword."""

    text: str


class Number(Node):
    """`text` is as written (`100_000`, `1e-3`)."""

    text: str
    value: int | float


class String(Node):
    value: str


class Constant(Node):
    """`true`, `false`, `none`."""

    value: bool | None


class List(Node):
    """`[a, b]`"""

    items: tuple[Expression, ...]


class Comprehension(Node):
    """`[Conv1d(8, kernel=3, dilation=2 ** i) for i in 0..4]`"""

    element: Expression
    clause: Clause


class Unary(Node):
    """`-x`, `not x`."""

    operator: str
    operand: Expression


class Binary(Node):
    """`+ - * / // % ** @`, `== != < <= > >= in`, `and or`; `operator_span` is that of the operator alone."""

    operator: str
    operator_span: Span
    left: Expression
    right: Expression


class Pipe(Node):
    """`value |> stage`."""

    value: Expression
    stage: Expression


class Argument(Node):
    """One argument of a call, with its name where it has one."""

    name: Name | None
    value: Expression


class Call(Node):
    """`function(arguments)`"""

    function: Expression
    arguments: tuple[Argument, ...]


class Field(Node):
    """`object.name`; in the paths of `load` the name may have placeholders, `{p}_emb`, braces included."""

    object: Expression
    name: Name


class Slice(Node):
    """`a:b:c` inside brackets."""

    start: Expression | None
    stop: Expression | None
    step: Expression | None


class Star(Node):
    """`*` inside brackets: every layer of an array."""


class Ellipsis(Node):
    """`...` in a type or inside brackets; in a type it may have a name, `...rest`."""

    name: Name | None = None


class Index(Node):
    """`object[subscripts]`"""

    object: Expression
    subscripts: tuple[Subscript, ...]


class Range(Node):
    """`start..stop` of a `for`, without `stop`."""

    start: Expression
    stop: Expression


Expression: TypeAlias = (
    "Name | Number | String | Constant | List | Comprehension | Unary | Binary | Pipe | Call | Field | Index"
)
Subscript: TypeAlias = "Expression | Slice | Star | Ellipsis"


class Type(Node):
    """`f32[n, t, 2 * d]`; without brackets a scalar, without a dtype any float dtype."""

    dtype: Name | None
    dims: tuple[Expression | Ellipsis, ...]


# -- statements --------------------------------------------------------------------------------------------------------


class Let(Node):
    """`let width = 64`"""

    name: Name
    value: Expression
    doc: str = ""


class Assign(Node):
    """`a = x`, `a, b = f(x)`, `a, b = x, y`."""

    targets: tuple[Name, ...]
    values: tuple[Expression, ...]


class Layer(Node):
    """`layer f = Dense(64)`, `layer blocks[12] = Block()`."""

    name: Name
    count: Expression | None
    value: Expression
    doc: str = ""


class Parameter(Node):
    """`param weight: [units, d] = kaiming_uniform`, `state running_mean: [c] = zeros`.

    In a way of sharing also `shared param templates: [bank, rows, columns] per group nodecay`; `extent` is `member`,
    `group` or left out.
    """

    kind: Literal["param", "state"]
    name: Name
    type: Type
    initializer: Expression | None
    doc: str = ""
    shared: bool = False
    extent: Name | None = None
    nodecay: bool = False


class Formula(Node):
    """`param blocks[i].up.weight = base + up[i] @ down[i] for i in 0..3`."""

    target: Expression
    value: Expression
    clause: Clause | None


class Clause(Node):
    """`i in 0..3`, `a, b in left, right`: the head of a `for`, with as many names as series."""

    names: tuple[Name, ...]
    series: tuple[Expression | Range, ...]


class Share(Node):
    """`share name as Delta(rank=8) { members except exceptions } for i in 0..3`; the function of `way` is a name."""

    name: Name | None
    members: tuple[Expression, ...]
    exceptions: tuple[Expression, ...]
    clause: Clause | None
    way: Call | None = None


class Freeze(Node):
    """`freeze encoder, head.bias eval`; the mode is `eval`, `train` or left out."""

    paths: tuple[Expression, ...]
    mode: Name | None = None


class Limit(Node):
    """`limit params 100_000`."""

    kind: Name
    value: Expression


class Require(Node):
    """`require rows == columns, "only square matrices are symmetric"`"""

    condition: Expression
    message: String | None


class Mapping(Node):
    """`"embeddings.{i}.weight"[0:64] -> blocks[i].weight` of a `load`; views may follow the pattern."""

    source: Expression
    target: Expression


class Ignore(Node):
    """`ignore "pooler.*", "*.num_batches_tracked"` of a `load`."""

    patterns: tuple[String, ...]


class Load(Node):
    """`load ["a.safetensors", "b.safetensors"] at "model" into encoder except head fit 0.2 { … }`."""

    files: tuple[String, ...]
    at: String | None
    target: Expression
    exceptions: tuple[Expression, ...]
    fit: Expression | None
    table: tuple[Mapping | Ignore, ...]

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        return tuple(line for line in self.table if isinstance(line, Mapping))


class Copy(Node):
    """`load online into target`: the initial values of the one are those of the other."""

    source: Expression
    target: Expression


class For(Node):
    """`for i in 0..3 { … }`"""

    clause: Clause
    body: tuple[Statement, ...]


class If(Node):
    """`else if` is an `If` alone in `otherwise`."""

    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


class Binding(Node):
    """`xt in x` and `h = zeros([n, units])` of a `scan`."""

    name: Name
    value: Expression


class Along(Node):
    """`a in left, b in right along t`"""

    steps: tuple[Binding, ...]
    axis: Expression


class Numbers(Node):
    """`step in 0..depth`"""

    name: Name
    range: Range


class Scan(Node):
    """`states = scan xt in x along t with h = h0 { … }`, or over numbers, `scan step in 0..depth with h = x { … }`;
    `targets` are empty where only the carried values are used."""

    targets: tuple[Name, ...]
    reverse: bool
    over: Along | Numbers
    carried: tuple[Binding, ...]
    body: tuple[Statement, ...]


class Emit(Node):
    """`emit h, c`"""

    values: tuple[Expression, ...]


class Until(Node):
    """`until all(done)`, in a `scan` over numbers."""

    value: Expression


class Return(Node):
    """`return h, c`, or with a name for each result: `return states=h, memory=c`."""

    values: tuple[Expression, ...]
    names: tuple[Name, ...] = ()


class Loss(Node):
    """`loss mse(y, target)` in a `train`, where the name is optional; in the body of a block or a model it has one:
    `loss balance = sum(load ** 2)`."""

    name: Name | None
    value: Expression


class Metric(Node):
    """`metric accuracy = mean(correct)`, in a `train`."""

    name: Name
    value: Expression


class Optimizer(Node):
    """`optimizer AdamW(lr=1e-3)`, in a `train`; the function of `call` is a name."""

    call: Call


class LearningRate(Node):
    """`lr encoder, head.bias = 1e-4`, in a `train`."""

    paths: tuple[Expression, ...]
    value: Expression


class LossWeight(Node):
    """`weight balance = 0.1`, in a `train`: the weight of an auxiliary loss of the model's blocks."""

    name: Name
    value: Expression


class Update(Node):
    """`update target all = 0.99 * target + 0.01 * online every 10`, in a `train`, a block or a model: what parameters
    and states become by a training step; `all`: states below a layer too."""

    target: Expression
    all: bool
    value: Expression
    every: Expression | None


class Carry(Node):
    """`carry z = zeros([n, d])`, in a `train`: an input that is carried from update to update of one batch."""

    name: Name
    value: Expression


class Changes(Node):
    """`train lm { freeze tok }` in a variant: its changes to the training of the model `name`."""

    name: Name
    body: tuple[Statement, ...]


Statement: TypeAlias = (
    "Let | Assign | Layer | Parameter | Formula | Share | Freeze | Limit | Require | Load | Copy | For | If | Scan"
    "| Until | Emit | Return | Loss | Metric | Optimizer | LearningRate | LossWeight | Update | Carry | Changes"
)

# -- declarations ------------------------------------------------------------------------------------------------------


class Configuration(Node):
    """`units: int = 64`; several types are alternatives: `int | list`."""

    name: Name
    types: tuple[Name, ...]
    default: Expression | None


class Input(Node):
    """`x: f32[n, d]`; one with a default (`mask: bool[n, t] = none`) may be left out; `x[12]: f32[n]` is an array."""

    name: Name
    count: Expression | None
    type: Type
    default: Expression | None = None


class Output(Node):
    """A result: `[n, d]`, `(logits: f32[n, d])` or an array of results, `(present[12]: f32[n, d])`."""

    name: Name | None
    count: Expression | None
    type: Type


class Block(Node):
    """`outputs` is `None` where the types of the results are left out."""

    name: Name
    configuration: tuple[Configuration, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...] | None
    body: tuple[Statement, ...]
    doc: str = ""


class Model(Node):
    """`model m(x: f32[n, d]) -> (y: f32[n, k]) { … }`"""

    name: Name
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...] | None
    body: tuple[Statement, ...]
    doc: str = ""


class Train(Node):
    """`train critic of gan(real: f32[n, 64]) { … }`: how a model is trained, with targets beside its inputs. Without
    `of` the training has the name of the model: `train siamese(same: f32[n]) { … }`."""

    name: Name
    model: Name
    targets: tuple[Input, ...]
    body: tuple[Statement, ...]
    doc: str = ""


class Turn(Node):
    """`critic 5` in `turns` or `mix`."""

    name: Name
    count: Expression


class Turns(Node):
    """`turns { critic 5, maker 1 }` or `mix { classify 2, tag 1 }`: how several trainings take turns."""

    kind: Name
    turns: tuple[Turn, ...]
    doc: str = ""


class Variant(Node):
    """`variant ffn { share { lm.blocks[*].ffn } }`: named changes to what is stored and trained."""

    name: Name
    body: tuple[Statement, ...]
    doc: str = ""


class Import(Node):
    """`from "./encoder.wsd" import Encoder, Decoder`."""

    file: String
    names: tuple[Name, ...]


Declaration: TypeAlias = (
    "Import | Let | Block | Model | Train | Turns | Variant | Layer | Parameter | Formula | Share | Freeze | Load"
    "| Copy | Require"
)


class Comment(Node):
    """`# text`, with the `#`; doc comments (`##`) are here and in the `doc` of their declaration."""

    text: str


class File(Node):
    """One file."""

    source: Source
    declarations: tuple[Declaration, ...]
    comments: tuple[Comment, ...]

"""Names in programs: which are bound where, and what was probably meant by one that stands for nothing."""

from __future__ import annotations

from collections.abc import Iterable

from wsdl.diagnostics import Edit, Problems
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.types import DTYPES
from wsdl.ops import NAMED
from wsdl.passes.scopes import standard_blocks
from wsdl.span import Span
from wsdl.syntax import tree

VIEWS = ("T", "permute", "reshape", "flip")  # what follows a dot on a tensor
BUILTINS = ("len", "per_axis")  # computed when compiling
MOST_SUGGESTIONS = 50  # nobody reads more, and each takes a while to find

# What PyTorch, Keras and NumPy call things that have another name here.
ELSEWHERE = {
    "Linear": "Dense", "FullyConnected": "Dense", "MultiheadAttention": "Attention", "MultiHeadAttention": "Attention",
    "BatchNorm1d": "BatchNorm", "BatchNorm2d": "BatchNorm", "BatchNorm3d": "BatchNorm",
    "BatchNormalization": "BatchNorm", "LayerNormalization": "LayerNorm", "InstanceNorm1d": "InstanceNorm",
    "InstanceNorm2d": "InstanceNorm", "InstanceNorm3d": "InstanceNorm", "Conv2DTranspose": "ConvTranspose2d",
    "SimpleRNN": "RNN", "TransformerEncoderLayer": "EncoderLayer", "BasicBlock": "ResNetBlock",
    "MaxPool1d": "max_pool", "MaxPool2d": "max_pool", "MaxPool3d": "max_pool", "MaxPooling2D": "max_pool",
    "AvgPool1d": "avg_pool", "AvgPool2d": "avg_pool", "AvgPool3d": "avg_pool", "AveragePooling2D": "avg_pool",
    "Upsample": "resize", "SiLU": "silu", "LeakyReLU": "leaky_relu", "cat": "concat", "concatenate": "concat",
    "view": "reshape", "swish": "silu", "clamp": "clip", "dot": "matmul", "average": "mean", "interpolate": "resize",
    "detach": "stop_gradient",
    "bmm": "matmul", "mm": "matmul", "hstack": "concat", "tensor_split": "split",
    "float32": "f32", "float": "f32", "float64": "f64", "double": "f64", "float16": "f16", "half": "f16",
    "bfloat16": "bf16", "int8": "i8", "int16": "i16", "int32": "i32", "int": "i64", "int64": "i64", "long": "i64",
    "uint8": "u8", "byte": "u8",
}  # fmt: skip


# Names that every PyTorch program has, and what takes their place.
NO_NAMES = {
    **dict.fromkeys(
        ("nn", "torch", "F", "tf", "keras", "np", "numpy", "math"),
        "there are no modules: blocks and operations go by their own names, `Dense(4)`, `relu(x)`",
    ),
    "self": "the layers of a block go by their own names: `fc(x)`",
    "ModuleList": "equal layers are an array, `layer blocks[12] = Block()`; others a list, `layer pair = [A(), B()]`",
    "Parameter": "a parameter is declared: `param weight: [units, d] = normal(0.02)`",
}  # fmt: skip

# Arguments of layers elsewhere, and what takes their place.
NO_ARGUMENTS = {
    **dict.fromkeys(
        ("in_features", "in_channels", "input_shape", "input_dim", "input_size", "embed_dim", "d_model",
         "normalized_shape", "num_features"),
        "leave it out: what goes in is known where the layer is applied",
    ),
    **dict.fromkeys(("activation", "nonlinearity"), "apply it behind the layer: `x |> Dense(4) |> relu`"),
    **dict.fromkeys(
        ("kernel_initializer", "bias_initializer"), "initial values are those of the block; write one with a `param`"
    ),
    "batch_first": "leave it out: the batch is always the first axis",
    "return_sequences": "leave it out: all states are given, the last is `states[:, -1]`",
    "trainable": "leave it out, and write `freeze` with the path of the layer",
    "device": "leave it out: where a model runs is said later, `--device cuda`",
    "dtype": "leave it out: parameters are f32, and `--dtype` compiles them to another",
}  # fmt: skip
ARGUMENTS_ELSEWHERE = {
    "out_features": "units", "hidden_size": "units", "out_channels": "channels", "filters": "channels",
    "kernel_size": "kernel", "strides": "stride", "padding": "pad", "dilation_rate": "dilation",
    "output_padding": "output_pad", "use_bias": "bias", "num_layers": "layers", "num_heads": "heads", "nhead": "heads",
    "dim_feedforward": "width", "num_groups": "groups", "num_embeddings": "count", "embedding_dim": "width",
    "input_vocab": "count", "output_dim": "width", "epsilon": "eps", "rate": "p", "layer_norm_eps": "eps",
    "go_backwards": "reverse", "attn_mask": "mask",
}  # fmt: skip


def unknown_name(node: tree.Name, bound: Iterable[str], problems: Problems) -> None:
    """Report a name that stands for nothing, with the nearest one that does."""
    capital = node.text[:1].isupper()
    called = ELSEWHERE.get(node.text)
    help = NO_NAMES.get(node.text)
    near = _meant(node.text, list(bound)) if help is None and len(problems) < MOST_SUGGESTIONS else None
    problems.error(
        "E0201",
        node.span,
        f"there is no block named `{node.text}`" if capital else f"there is no `{node.text}` here",
        f"is called `{called}` here"
        if called
        else f"did you mean `{near}`?"
        if near
        else "not bound before this place",
        help=help,
        fix=[Edit(node.span, called or near or "")] if called or near else (),
    )


def _meant(name: str, bound: list[str]) -> str | None:
    """The name that was probably meant: one of the file's own, or one of the language's."""
    capital = name[:1].isupper()
    own = [n for n in bound if n[:1].isupper() == capital]
    everything = [*bound, *standard_blocks(), *NAMED, *BUILTINS]
    alike = [n for n in everything if n.lower() == name.lower() or n[:1].isupper() == capital]
    return nearest(name, own) or nearest(name, alike) or nearest(name, DTYPES)


ANY = "any"  # in the place of a dtype, in the signature of a block: whatever it is applied to


def unknown_dtype(node: tree.Name, problems: Problems) -> None:
    """Report what is written as a dtype and is none."""
    if node.text == ANY:
        message, label = "a dtype is needed here", "stands for any one, in the signature of a block only"
        problems.error("E0404", node.span, message, label, help=f"the dtypes are {', '.join(DTYPES)}")
        return
    near = ELSEWHERE.get(node.text) or nearest(node.text, DTYPES)
    near = near if near in DTYPES else None
    problems.error(
        "E0404",
        node.span,
        f"there is no dtype `{node.text}`",
        f"did you mean `{near}`?" if near else "",
        help=f"the dtypes are {', '.join(DTYPES)}",
        fix=[Edit(node.span, near)] if near else (),
    )


def check_capital(name: tree.Name, kind: str, problems: Problems) -> None:
    """Blocks begin with a capital letter, and nothing else does."""
    capital = kind == "block"
    if capital == name.text[:1].isupper() or (capital and not name.text[:1].islower()):
        return
    better = name.text[:1].upper() + name.text[1:] if capital else name.text[:1].lower() + name.text[1:]
    problems.error(
        "E0203",
        name.span,
        f"the name of a {kind} starts with a {'capital' if capital else 'small'} letter",
        f"write `{better}`",
        help="capitalised names are blocks, which own weights; all other names start small",
    )


# -- names in the tree -------------------------------------------------------------------------------------------------


def bound_names(body: Iterable[tree.Statement]) -> dict[str, Span]:
    """The names that a body binds, with the first place of each."""
    found: dict[str, Span] = {}
    for statement in flattened(body):
        names: tuple[tree.Name, ...]
        if isinstance(statement, tree.Assign):
            names = statement.targets
        elif isinstance(statement, tree.Scan):
            names = (*(binding.name for binding in statement.carried), *statement.targets)
        elif isinstance(statement, tree.Let | tree.Layer | tree.Parameter):
            names = (statement.name,)
        else:
            continue
        for name in names:
            found.setdefault(name.text, name.span)
    return found


def children(node: tree.Subscript) -> list[tree.Subscript]:
    """The expressions that an expression is made of."""
    if isinstance(node, tree.List):
        return list(node.items)
    if isinstance(node, tree.Unary):
        return [node.operand]
    if isinstance(node, tree.Binary):
        return [node.left, node.right]
    if isinstance(node, tree.Pipe):
        return [node.value, node.stage]
    if isinstance(node, tree.Call):
        return [node.function, *(a.value for a in node.arguments)]
    if isinstance(node, tree.Field):
        return [node.object]
    if isinstance(node, tree.Index):
        return [node.object, *node.subscripts]
    if isinstance(node, tree.Slice):
        return [part for part in (node.start, node.stop, node.step) if part is not None]
    return []


def names_of(node: tree.Subscript) -> list[tree.Name]:
    """All names in an expression."""
    return [node] if isinstance(node, tree.Name) else [n for child in children(node) for n in names_of(child)]


def flattened(body: Iterable[tree.Statement], into_scans: bool = False) -> Iterable[tree.Statement]:
    """The statements of a body with those in its branches and loops, in order."""
    for statement in body:
        yield statement
        if isinstance(statement, tree.If):
            yield from flattened((*statement.then, *statement.otherwise), into_scans)
        elif isinstance(statement, tree.For) or (into_scans and isinstance(statement, tree.Scan)):
            yield from flattened(statement.body, into_scans)

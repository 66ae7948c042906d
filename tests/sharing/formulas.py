"""Programs with formulas, and the same networks in PyTorch, their weights made by `torch.nn.utils.parametrize`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from wsdl.ir.types import DType

Parameters: TypeAlias = Mapping[str, Tensor]  # by the names of the stored tensors, without that of the model


@dataclass(frozen=True)
class Case:
    """`body` is that of a model `m` of x: f64[n, …]; `twin` makes its counterpart, in which `computed` are the weights
    that formulas compute, each by a function of the parameters. `stored` are the names of what is left to be stored."""

    name: str
    body: str
    shape: tuple[int, ...]
    twin: Callable[[], nn.Module]
    computed: Mapping[str, Callable[[Parameters], Tensor]]
    stored: tuple[str, ...]
    call: Callable[[nn.Module, Tensor], Tensor] = lambda module, x: module(x)
    rename: Callable[[str], str] = str
    dtype: DType = "f64"  # ONNX Runtime has convolutions in f32 alone

    @property
    def text(self) -> str:
        sizes = ", ".join(["n", *map(str, self.shape[1:])])
        train = "train m() {\n    loss mean(output ** 2)\n    optimizer SGD(lr=1.0)\n}\n"
        return f"model m(x: {self.dtype}[{sizes}]) {{\n{self.body}}}\n\n{train}".replace("f64", self.dtype)

    def in_pytorch(self, parameters: Parameters) -> Callable[[Tensor], Tensor]:
        """The twin over these parameters."""
        module = self.twin().double()
        for name, _ in list(module.named_parameters()):
            owner, _, attribute = name.rpartition(".")
            layer = module.get_submodule(owner)
            ours = self.rename(name)
            if ours in self.computed:
                parametrize.register_parametrization(layer, attribute, _Formula(self.computed[ours], parameters))
            else:
                layer._parameters[attribute] = parameters[ours]  # type: ignore[assignment] # a Parameter
        return lambda x: self.call(module, x)


class _Formula(nn.Module):
    def __init__(self, compute: Callable[[Parameters], Tensor], parameters: Parameters) -> None:
        super().__init__()
        self.compute, self.given = compute, dict(parameters)

    def forward(self, original: Tensor) -> Tensor:
        return self.compute(self.given)


def _index(d: int) -> Tensor:
    return (torch.arange(d)[:, None] - torch.arange(d)) % d


CASES = [
    Case(
        "a tie up to a gain",
        """\
    layer encode = Dense(4)
    layer decode = Dense(6)
    param gain: f64[1, 4] = normal(1.0)
    param decode.weight = encode.weight.T * gain
    return x |> encode |> tanh |> decode
""",
        (5, 6),
        lambda: nn.ModuleDict({"encode": nn.Linear(6, 4), "decode": nn.Linear(4, 6)}),
        {"decode.weight": lambda p: p["encode.weight"].T * p["gain"]},
        ("gain", "encode.weight", "encode.bias", "decode.bias"),
        lambda m, x: m["decode"](torch.tanh(m["encode"](x))),  # type: ignore[index] # a ModuleDict, to `Case` any module
    ),
    Case(
        "symmetric kernels",
        """\
    layer conv = Conv2d(3, kernel=3)
    param half: f64[3, 2, 3, 3] = normal(0.3)
    param conv.weight = half + half.flip(3)
    return conv(x)
""",
        (2, 2, 7, 7),
        lambda: nn.ModuleDict({"conv": nn.Conv2d(2, 3, 3)}),
        {"conv.weight": lambda p: p["half"] + p["half"].flip(3)},
        ("half", "conv.bias"),
        lambda m, x: m["conv"](x),  # type: ignore[index] # a ModuleDict, to `Case` any module
        dtype="f32",
    ),
    Case(
        "circulant",
        """\
    let d = 6
    layer ring = Dense(d)
    param first: f64[d] = normal(0.3)
    param ring.weight = gather(first, (arange(d).reshape(d, 1) - arange(d)) % d)
    return ring(x)
""",
        (5, 6),
        lambda: nn.ModuleDict({"ring": nn.Linear(6, 6)}),
        {"ring.weight": lambda p: p["first"][_index(6)]},
        ("first", "ring.bias"),
        lambda m, x: m["ring"](x),  # type: ignore[index] # a ModuleDict, to `Case` any module
    ),
    Case(
        "a hypernetwork for a GRU",
        """\
    let d = 4
    layer gru = GRU(d)
    layer hyper = Dense(3 * d * d)
    param code: f64[1, 3] = normal(1.0)
    param gru.cell.weight_hh = hyper(code).reshape(3 * d, d)
    return gru(x)
""",
        (3, 5, 6),
        lambda: nn.ModuleDict({"gru": nn.GRU(6, 4, batch_first=True)}),
        {
            "gru.cell.weight_hh": lambda p: (p["code"] @ p["hyper.weight"].T + p["hyper.bias"]).reshape(12, 4),
        },
        ("code", "gru.cell.weight_ih", "gru.cell.bias_ih", "gru.cell.bias_hh", "hyper.weight", "hyper.bias"),
        lambda m, x: m["gru"](x)[0],  # type: ignore[index] # a ModuleDict, to `Case` any module
        lambda name: name.replace("gru.", "gru.cell.").replace("_l0", ""),
    ),
    Case(
        "LoRA in the standard Attention",
        """\
    layer attn = Attention(heads=2)
    param base: f64[8, 8] = normal(0.3)
    param up: f64[8, 2] = normal(0.3)
    param down: f64[2, 8] = normal(0.3)
    param attn.query.weight = base + up @ down
    param attn.value.weight = base - up @ down
    return attn(x)
""",
        (2, 5, 8),
        lambda: _Attention(8, 2),
        {
            "attn.query.weight": lambda p: p["base"] + p["up"] @ p["down"],
            "attn.value.weight": lambda p: p["base"] - p["up"] @ p["down"],
        },
        (
            *("base", "up", "down", "attn.query.bias", "attn.key.weight", "attn.key.bias"),
            *("attn.value.bias", "attn.out.weight", "attn.out.bias"),
        ),
        rename=lambda name: f"attn.{name}",
    ),
    Case(
        "low-rank changes of one tensor",
        """\
    layer blocks[3] = Dense(6)
    param base: f64[6, 6] = normal(0.3)
    param up: f64[3, 6, 2] = normal(0.3)
    param down: f64[3, 2, 6] = normal(0.3)
    param blocks[i].weight = base + up[i] @ down[i] for i in 0..3
    for block in blocks {
        x = tanh(block(x))
    }
    return x
""",
        (5, 6),
        lambda: nn.ModuleDict({"blocks": nn.ModuleList(nn.Linear(6, 6) for _ in range(3))}),
        {f"blocks.{i}.weight": (lambda p, i=i: p["base"] + p["up"][i] @ p["down"][i]) for i in range(3)},  # type: ignore[misc] # `i=i` has no type
        ("base", "up", "down", *(f"blocks.{i}.bias" for i in range(3))),
        lambda m, x: _one_after_another(m["blocks"], x),  # type: ignore[index] # a ModuleDict, to `Case` any module
    ),
    Case(
        "one formula for a group, with a transposed member, out of another formula",
        """\
    layer a = Dense(6)
    layer b = Dense(6)
    layer c = Dense(6)
    param base: f64[6, 6] = normal(0.3)
    share { b.weight, c.weight.T }
    param a.weight = exp(base)
    param c.weight = a.weight * 0.1 + base.T
    param a.bias = b.bias.flip(0) + c.bias
    return (x |> a) + (x |> b |> tanh |> c)
""",
        (5, 6),
        lambda: nn.ModuleDict({n: nn.Linear(6, 6) for n in "abc"}),
        {
            "a.weight": lambda p: torch.exp(p["base"]),
            "b.weight": lambda p: (torch.exp(p["base"]) * 0.1 + p["base"].T).T,
            "c.weight": lambda p: torch.exp(p["base"]) * 0.1 + p["base"].T,
            "a.bias": lambda p: p["b.bias"].flip(0) + p["c.bias"],
        },
        ("base", "b.bias", "c.bias"),
        lambda m, x: m["a"](x) + m["c"](torch.tanh(m["b"](x))),  # type: ignore[index] # a ModuleDict, to `Case` any module
    ),
]


def _one_after_another(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    for block in blocks:
        x = torch.tanh(block(x))
    return x


class _Attention(nn.Module):
    """The standard `Attention`, of four linear layers."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(d, d) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        parts = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        y = nn.functional.scaled_dot_product_attention(*parts)
        return self.out(y.transpose(1, 2).flatten(2))

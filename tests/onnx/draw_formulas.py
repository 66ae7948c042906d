"""Random programs whose weights are computed by random formulas, for the tests of what a session holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

D = 64

_LEAVES = {  # matrices of [d, d]: the declaration of what each is made of, and the expression
    "full": ("param {p}: [d, d] = normal(0.1)", "{p}"),
    "low rank": ("param {p}: [2, d, 4] = normal(0.1)", "({p}[0] @ {p}[1].T)"),
    "outer product": ("param {p}: [d] = normal(0.1)", "({p}.reshape(d, 1) * {p})"),
    "diagonal": ("param {p}: [d] = normal(0.1)", "({p} * one_hot(arange(d), d))"),
    "diagonal by comparison": ("param {p}: [1, d] = normal", "where(arange(d).reshape(d, 1) == arange(d), {p}, 0)"),
    "identity": ("param {p}: [d, d] = normal(0.1)", "(one_hot(arange(d), d) @ {p})"),
    "circulant": ("param {p}: [d] = normal(0.1)", "gather({p}, (arange(d).reshape(d, 1) - arange(d)) % d)"),
    "hashed": ("param {p}: [96] = normal(0.1)", "gather({p}, (arange(d).reshape(d, 1) * 7919 + arange(d) * 31) % 96)"),
    "triangle": ("param {p}: [d, d] = normal(0.1)", "(tril(ones([d, d])) * {p})"),
    "mirrored": ("param {p}: [d, d // 2] = normal(0.1)", "concat([{p}, {p}.flip(1)], axis=1)"),
    "repeated": ("param {p}: [d // 2, d] = normal(0.1)", "tile({p}, [2, 1])"),
    "mixture": ("param {p}: [3, d, d] = normal(0.1)",
                "sum({p} * softmax({p}[:, 0, 0:3], axis=1)[{i}].reshape(3, 1, 1), axis=0)"),
    "slice": ("param {p}: [4, d, d] = normal(0.1)", "{p}[{i}]"),
    "hypernetwork": ("param {p}: [3, 8] = normal\n    layer {p}h = Dense(d * d)", "{p}h({p})[{i}].reshape(d, d)"),
    "Kronecker product": ("param {p}: [2, 8, 8] = normal", 'einsum("ab,cd->acbd", {p}[0], {p}[1]).reshape(d, d)'),
}  # fmt: skip
_CHANGES = [
    *("({0}).T", "tanh({0})", "({0}) * 0.5", "({0}).flip(1)", "exp({0}) - 1.0", "roll({0}, 1, axis=0)"),
    *("({0}).reshape(d // 4, 4 * d).reshape(d, d)", "softmax({0}, axis=1)", "({0}) - mean({0})"),
    "({0}) / sqrt(sum(({0}) ** 2, axis=1, keepdims=true) + 1e-3)",
    *("concat([({0})[d // 2 : d], ({0})[0 : d // 2]], axis=0)", "where(({0}) > 0.0, {0}, 0.1)"),
]
_JOINS = ["{0} + {1}", "{0} * {1}", "({0}) @ ({1})", "{0} - ({1}).T", "where({0} > {1}, {0}, {1})"]
_RECURRENT = """\
    for layer in a {
        x = x + layer(x)
    }
    x = x + mean(rnn(stack([x, x], axis=1)), axis=1)
"""
_USES = [
    "    for layer in a {\n        x = tanh(layer(x))\n    }\n",
    "    for layer in a {\n        x = x + layer(x)\n        x = x + layer(tanh(x))\n    }\n",
    """\
    seen = stack([x, x], axis=1)
    x = scan row in seen along 2 with total = zeros([n, d]) {
        for layer in a {
            total = tanh(layer(total) + row)
        }
        emit total
    }
    x = mean(x, axis=1)
""",
    _RECURRENT,
]


@dataclass
class _Drawing:
    """What is drawn so far: the kind of each parameter by its name."""

    random: Random
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def declarations(self) -> list[str]:
        return [_LEAVES[kind][0].format(p=name) for name, kind in self.kinds.items()]

    def matrix(self, depth: int) -> str:
        choice = self.random.random()
        if depth == 0 or choice < 0.2:
            return self._leaf()
        if choice < 0.6:
            return self.random.choice(_CHANGES).format(self.matrix(depth - 1))
        left, right = self.matrix(depth - 1), self.matrix(depth - 1)
        return self.random.choice(_JOINS).format(f"({left})", f"({right})")

    def _leaf(self) -> str:
        """Of a new parameter, or, more often, of one that others read too."""
        if self.kinds and self.random.random() < 0.6:
            name = self.random.choice(list(self.kinds))
        else:
            name = f"p{len(self.kinds)}"
            self.kinds[name] = self.random.choice(list(_LEAVES))
        return _LEAVES[self.kinds[name]][1].format(p=name, i=self.random.randrange(3))


def draw(seed: int) -> str:
    """A program of one model, `m(x: f32[n, 64]) -> f32[n, 64]`, with one to seven weights that are computed."""
    random = Random(seed)
    drawing = _Drawing(random)
    weights = random.randint(1, 6)
    lines = [f"param a[{i}].weight = {drawing.matrix(random.randint(0, 3))}" for i in range(weights)]
    if weights > 2 and random.random() < 0.3:
        lines[-1] = f"share {{ a[0].weight, a[{weights - 1}].weight.T }}"
    use = random.choice(_USES)
    if use is _RECURRENT:
        lines = ["layer rnn = RNN(d)", f"param rnn.cell.weight_hh = {drawing.matrix(1)}", *lines]
    lines = [f"layer a[{weights}] = Dense(d, bias=false)", *drawing.declarations, *lines]
    body = "".join(f"    {line}\n" for line in lines) + use
    if random.random() < 0.3:  # a part that is read as it is, too
        body += f"    x = x + mean({random.choice(list(drawing.kinds))})\n"
    return f"let d = {D}\n\nmodel m(x: f32[n, d]) {{\n{body}    return x\n}}\n"

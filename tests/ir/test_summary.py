"""The layers of programs in short: examples, and programs that are one case each."""

from __future__ import annotations

from pathlib import Path

from tests.golden import Golden
from tests.stages import storage_of
from wsdl import compiler
from wsdl.diagnostics.span import Source
from wsdl.ir.summary import summary
from wsdl.syntax.read import read

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
NAMES = ("lm.wsd", "siamese.wsd", "training/autoencoder.wsd", "training/clothes_routing.wsd", "transformers/t5.wsd")
PROGRAMS = {
    "partly frozen, and a model in a layer of its own": """\
block Net()(x: f32[n, 8]) -> f32[n, 2] {
    layer body = Dense(8)
    layer head = Dense(2)
    return x |> body |> relu |> head
}

model m(x: f32[n, 8]) -> (y: f32[n, 2]) {
    layer net = Net()
    return net(x)
}

train m(label: i64[n]) {
    loss cross_entropy(y, label)
    optimizer SGD(0.1)
    freeze net.body
}
""",
    "more layers than are listed": """\
model m(x: f32[n, 1]) -> (y: f32[n, 23]) {
"""
    + "".join(f"    x = Dense({i})(x)\n" for i in range(2, 24))
    + """    return x
}
""",
    "no weights": """\
model m(x: f32[n, 8]) -> (y: f32[n, 8]) {
    return relu(x)
}
""",
}


def shown(source: Source) -> str:
    storage = storage_of(source)
    found = summary(storage, compiler.inventory(storage))
    assert sum(row.parameters for row in found.rows) == found.sizes.parameters
    assert found.changed[0] + found.kept[0] == found.sizes.parameters
    return "".join(f"{' | '.join(row)}\n" for row in found.cells()) + f"{found.totals()}\n"


def test_summaries(golden: Golden) -> None:
    sources = {name: read(str(EXAMPLES / name)) for name in NAMES}
    sources |= {name: Source("m.wsd", text) for name, text in PROGRAMS.items()}
    golden(
        HERE / "golden" / "summary.txt",
        "\n".join(f"== {name}\n{shown(source)}" for name, source in sources.items() if source is not None),
    )

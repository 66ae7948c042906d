"""The pages of operations and blocks: complete, as they are in `docs/reference/`, and their examples run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import wsdl
from tests.golden import Golden
from wsdl.api import reference
from wsdl.diagnostics.span import Source
from wsdl.elaborate.operations import signature
from wsdl.elaborate.scopes import standard_block, standard_blocks, standard_ways
from wsdl.ops import NAMED
from wsdl.syntax import tree

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
SIZES = {"n": 2, "t": 5, "s": 4}
OPERAND = re.compile(r"(\w+): (\w+\[[^\]]*\])")


# -- the pages ---------------------------------------------------------------------------------------------------------


def written() -> dict[Path, str]:
    """All pages of operations and blocks in `docs/reference/`."""
    pages = {}
    index = "# Operations and blocks\n\nGenerated from their documentation; `wsdl explain NAME` prints a page.\n"
    index += "Capitalized names own weights, other names don't.\n\n## Operations\n"
    for family, names in reference.operation_families():
        pages[FOLDER / "operations" / f"{family}.md"] = page_of(f"Operations: {family}", reference.about(family), names)
        rows = [[linked(f"operations/{family}.md", signature(NAMED[name]), name), result(name)] for name in names]
        index += f"\n### {family.replace('_', ' ').capitalize()}\n\n" + table(["operation", "result"], rows)
    index += "\n## Blocks\n"
    for file, names in reference.block_files().items():
        pages[FOLDER / "blocks" / f"{file}.md"] = page_of(f"Blocks: {file}", f"`wsdl/std/{file}.wsd`", names)
        rows = [row_of_block(f"blocks/{file}.md", name) for name in names]
        index += f"\n### {file.capitalize()} blocks\n\n" + table(
            ["block", "input → output", "owns", "what it does"], rows
        )
    return {FOLDER / "README.md": index, **pages}


def table(headers: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in [headers, *rows]]
    return "".join([lines[0], "|---" * len(headers) + "|\n", *lines[1:]])


def linked(page: str, shown: str, name: str) -> str:
    return f"[`{shown}`]({page}#{name.lower()})"


def result(name: str) -> str:
    """The first line of the docstring, without the ONNX operator."""
    return re.sub(r" (An )?ONNX [\w,;. ]+$", "", NAMED[name].doc.splitlines()[0])


def row_of_block(page: str, name: str) -> list[str]:
    definition = standard_block(name)
    assert definition is not None
    block = definition.node
    assert isinstance(block, tree.Block)
    arguments = [c.name.text + (f"={c.default.span.text}" if c.default else "") for c in block.configuration]
    types = [i.span.text if block.inputs[1:] or i.count else i.type.span.text for i in block.inputs]
    inputs = f"`{', '.join(types)}`" if types else "nothing"
    outputs = (
        f"`{', '.join((o.span if o.count else o.type.span).text for o in block.outputs)}`"
        if block.outputs
        else "inferred"
    )
    owned = ", ".join(dict.fromkeys(f"`{name}`" for name in owns(block.body)))
    summary = re.split(r"(?<=\.)(?<!al\.) ", (block.doc or "").split("\n\n")[0].replace("\n", " "))[0]
    return [linked(page, f"{name}({', '.join(arguments)})", name), f"{inputs} → {outputs}", owned, summary]


def owns(body: tuple[tree.Statement, ...]) -> list[str]:
    """The layers and parameters that a body declares."""
    names: list[str] = []
    for statement in body:
        if isinstance(statement, tree.Layer | tree.Parameter):
            names.append(statement.name.text)
        elif isinstance(statement, tree.If):
            names += owns((*statement.then, *statement.otherwise))
    return names


def page_of(title: str, about: str, names: list[str]) -> str:
    return "\n".join([f"# {title}", "", about, "", *(f"#{reference.page(name)}" for name in names)])


def test_pages(golden: Golden) -> None:
    pages = written()
    for path, text in pages.items():
        golden(path, text)
    written_pages = {*FOLDER.glob("README.md"), *FOLDER.glob("*/*.md")}
    assert written_pages == set(pages), "pages of operations or blocks that no longer exist"


def test_all_have_one() -> None:
    assert set(reference.names()) == {*NAMED, *standard_blocks()}


# -- operations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED)
def test_the_example_of_an_operation(name: str) -> None:
    operation = NAMED[name]
    assert operation.text, "nothing is said of it"
    assert "ONNX" in operation.text, "it doesn't say what it becomes"
    assert operation.examples, "it has no example"
    for example in operation.examples:
        call, gives = example.split(" -> ")
        inputs = OPERAND.findall(call)
        names = set(re.findall(r"\b[nst]\b", example))
        known = {d for _, type in inputs for d in re.findall(r"\b[nst]\b", type)}
        inputs += [(f"of_{d}", f"f32[{d}]") for d in sorted(names - known)]
        before = "y = sum(x)\n" if operation.expanded_by else ""  # there is a derivative only of what is computed
        inputs = [i for i in inputs if not before or i[0] != "y"]
        run(inputs, f"{before}return " + OPERAND.sub(r"\1", call), gives)


# -- blocks ------------------------------------------------------------------------------------------------------------

USUAL = {
    "ids": "i64[n, t]", "frames": "f32[n, t, 64]", "words": "f32[n, t, 64]", "memory": "f32[n, s, 64]",
    "question": "f32[n, 64]", "answer": "f32[n, 64]", "h": "f32[n, 64]", "c": "f32[n, 64]", "q": "f32[n, 4, t, 16]",
    "k": "f32[n, 4, t, 16]", "c3": "f32[n, 64, 32, 32]", "c4": "f32[n, 128, 16, 16]", "c5": "f32[n, 256, 8, 8]",
    "boxes": "f32[n, t, 4]", "scores": "f32[n, t, 5]",
}  # fmt: skip
IMAGE, SEQUENCE, VECTOR = "f32[n, 64, 32, 32]", "f32[n, t, 64]", "f32[n, 64]"
X = {
    **dict.fromkeys(("RNNCell", "GRUCell", "LSTMCell"), VECTOR), "BatchNorm": IMAGE, "GroupNorm": IMAGE, "PReLU": IMAGE,
    "InstanceNorm": IMAGE, "Conv1d": "f32[n, 64, 32]", "ConvTranspose1d": "f32[n, 64, 32]",
    "Conv3d": "f32[n, 4, 8, 32, 32]", "RelativeBias": SEQUENCE,
}  # fmt: skip
BEFORE = "let d = 64\nlet vocab = 100\n"
DECLARED = {"PositionalEncoding": "layer tok = Embedding(vocab, d)\n"}


@pytest.mark.parametrize("name", standard_ways())
def test_the_example_of_a_way(name: str) -> None:
    definition = standard_block(name)
    assert definition is not None
    assert isinstance(definition.node, tree.Block)
    text, example = reference.text_and_example(definition.node)
    assert text, "there is no `##` comment above the block"
    assert f"as {name}(" in example, "it has no example of its own"
    layers = "layer blocks[3] = EncoderLayer(4, 64)\nlayer conv = Dense(64)\nlayer mix = Dense(64)\n"
    steps = "for i in 0..3 {\n x = blocks[i](x)\n}\n"
    run([("x", SEQUENCE)], f"{layers}{example}\n{steps}return x |> conv |> mix")


@pytest.mark.parametrize("name", [name for name in standard_blocks() if name not in standard_ways()])
def test_the_example_of_a_block(name: str) -> None:
    definition = standard_block(name)
    assert definition is not None
    assert isinstance(definition.node, tree.Block)
    text, example = reference.text_and_example(definition.node)
    assert text, "there is no `##` comment above the block"
    assert f"{name}(" in example, "it has no example of its own"
    rank = definition.node.inputs[0].type.span.text.count(",") + 1
    types = {"x": X.get(name, IMAGE if rank == 4 else SEQUENCE), **USUAL}
    code = DECLARED.get(name, "") + example
    lines = code.splitlines()
    target = re.match(r"([\w, ]+?) = ", lines[-1])
    lines = [*lines, f"return {target[1]}"] if target else [*lines[:-1], f"return {lines[-1]}"]
    used = [
        n
        for n in types
        if re.search(rf"(?<![\w.=]){n}\b(?!\s*=[^=])", re.sub(r"^(?:layer )?[\w, ]+ = ", "", code, flags=re.M))
    ]
    run([(n, types[n]) for n in used], "\n".join(lines), before=BEFORE)


def run(inputs: list[tuple[str, str]], body: str, gives: str = "", before: str = "") -> None:
    """Compile an example as the body of a model, run it, and look at the types that come out."""
    text = f"{before}model example({', '.join(f'{n}: {t}' for n, t in inputs)}) {{\n{body}\n}}\n"
    program = wsdl.compile(Source("example.wsd", text))
    model = program.models["example"]
    if gives:
        assert ", ".join(map(str, model.outputs.values())) == gives
    rng = np.random.default_rng(0)
    feeds = {}
    for name, type in model.inputs.items():
        shape = [d.evaluate(SIZES) for d in type.shape]
        numbers = rng.integers(0, 2, shape) if not type.is_float else rng.uniform(0.1, 1.0, shape)
        feeds[name] = numbers.astype({"bool": bool, "i64": np.int64, "f32": np.float32}[type.dtype])
    outputs = program.session().run(feeds)
    for array, type in zip(outputs.values(), model.outputs.values(), strict=True):
        known = [
            d.evaluate(SIZES) if d.names() <= SIZES.keys() else None for d in type.shape
        ]  # without those of the run
        assert [size if k is not None else None for size, k in zip(array.shape, known, strict=True)] == known

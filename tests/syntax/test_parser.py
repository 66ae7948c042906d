"""Texts and the trees they give."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import lark
import pytest

from wsdl.diagnostics import Problems
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source
from wsdl.syntax import parser, reuse, tree
from wsdl.syntax.grammar import grammar_path
from wsdl.syntax.parser import parse

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.wsd"))


def read(text: str) -> tree.File:
    problems = Problems()
    file = parse(Source("test.wsd", text), problems)
    assert not problems.diagnostics, render(problems)
    return file


def body(text: str) -> tuple[tree.Statement, ...]:
    block = read(f"block A()(x: [d]) {{\n{text}\n}}").declarations[0]
    assert isinstance(block, tree.Block)
    return block.body


def value(text: str) -> tree.Expression:
    let = read(f"let a = {text}").declarations[0]
    assert isinstance(let, tree.Let)
    return let.value


def shape(node: object) -> str:
    """An expression with all its parentheses."""
    match node:
        case tree.Binary():
            return f"({shape(node.left)} {node.operator} {shape(node.right)})"
        case tree.Unary():
            return f"({node.operator} {shape(node.operand)})"
        case tree.Pipe():
            return f"({shape(node.value)} |> {shape(node.stage)})"
        case tree.Call():
            return f"{shape(node.function)}({', '.join(shape(a.value) for a in node.arguments)})"
        case tree.Field():
            return f"{shape(node.object)}.{node.name.text}"
        case tree.Index():
            return f"{shape(node.object)}[{', '.join(map(shape, node.subscripts))}]"
        case tree.Slice():
            bounds = [node.start, node.stop, *([node.step] if node.step else [])]
            return ":".join("" if bound is None else shape(bound) for bound in bounds)
        case tree.List():
            return f"[{', '.join(map(shape, node.items))}]"
        case tree.Name() | tree.Number():
            return node.text
        case tree.Star():
            return "*"
        case tree.Ellipsis():
            return "..."
    raise AssertionError(node)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_programs_of_the_design_parse(path: Path) -> None:
    assert read(path.read_text(encoding="utf-8")).declarations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a or b and not c == d", "(a or (b and (not (c == d))))"),
        ("a + b * c - d", "((a + (b * c)) - d)"),
        ("a @ b.T // 2 % c", "(((a @ b.T) // 2) % c)"),
        ("-a ** -b ** c", "(- (a ** (- (b ** c))))"),
        ("(-a) ** 2", "((- a) ** 2)"),
        ("a - (b - c)", "(a - (b - c))"),
        ("x + 1 |> f |> g(2)", "(((x + 1) |> f) |> g(2))"),
        ("Dense(64)(x).T[0]", "Dense(64)(x).T[0]"),
        ("a[*, ::3, 1:, ..., :-1]", "a[*, ::3, 1:, ..., :(- 1)]"),
        ("not not a", "(not (not a))"),
    ],
)
def test_what_binds_how_tightly(text: str, expected: str) -> None:
    assert shape(value(text)) == expected


def test_numbers_and_strings_have_values() -> None:
    items = value(r'[1_000, 1e-3, 0.5, 2E2, "a \"b\"\\\n", true, none]')
    assert isinstance(items, tree.List)
    assert [getattr(item, "value", None) for item in items.items] == [1000, 1e-3, 0.5, 200.0, 'a "b"\\\n', True, None]
    assert isinstance(items.items[0], tree.Number)
    assert items.items[0].text == "1_000"


def test_words_of_the_language_may_be_names_where_nothing_else_is_meant() -> None:
    statements = body(
        "layer layer[3] = GRU(8, reverse=true, in=1)\nstate = load(limit)\nlimit, freeze = x\nrequire, y = require\n"
        "shared, per = member\nshared param group: [nodecay] = per per group nodecay\nshare shared as As() { as }\n"
        "state state: [d] = zeros\nfor block in model.layer { with = block(into) }\nreturn along.except"
    )
    kinds = [type(s).__name__ for s in statements]
    assert kinds == ["Layer", *["Assign"] * 4, "Parameter", "Share", "Parameter", "For", "Return"]


def test_words_of_training_may_be_names() -> None:
    statements = body(
        "loss = lr(metric, optimizer)\nlr, train = loss.lr\nmetric = train[loss]\nlr = [\nloss for i in 0..4]\n"
        "share {\nloss except loss.bias\n}"
    )
    assert [type(s).__name__ for s in statements] == [*["Assign"] * 4, "Share"]
    (train,) = read(
        "train train(loss: f32[n]) {\nloss = loss + lr\nloss loss\nmetric loss = loss\nlr lr.loss, metric = 3\n"
        "optimizer optimizer(loss=1, lr=loss)\noptimizer = 3\n}"
    ).declarations
    assert isinstance(train, tree.Train)
    kinds = [type(s).__name__ for s in train.body]
    assert kinds == ["Assign", "Loss", "Metric", "LearningRate", "Optimizer", "Assign"]


def test_a_line_goes_on_inside_brackets_and_before_a_pipe() -> None:
    statements = body("y = f(\n    x,\n    [1,\n2],\n)\n\n    # between\n\n    |> g   # behind\n    |> h\nz = y")
    assert len(statements) == 2
    assert isinstance(statements[0], tree.Assign)
    assert shape(*statements[0].values) == "((f(x, [1, 2]) |> g) |> h)"


def test_doc_comments_belong_to_what_is_under_them() -> None:
    text = (
        "## One.\n##   Two.\n# not a part\nlet a = 1  ## no doc\n\n## Far away.\n\nlet b = 2\n"
        "## Of the block.\nblock B()(x: [d]) {\n    ## Of the weight.\n    param w: [d]\n    return x\n}"
    )
    a, b, block = read(text).declarations
    assert isinstance(a, tree.Let)
    assert isinstance(b, tree.Let)
    assert isinstance(block, tree.Block)
    assert isinstance(block.body[0], tree.Parameter)
    assert (a.doc, b.doc, block.doc, block.body[0].doc) == ("One.\n  Two.", "", "Of the block.", "Of the weight.")


def test_comments_are_all_kept_in_order() -> None:
    file = read('# a\nlet x = [ # b\n 1, "# no" ] # c\n#d')
    assert [comment.text for comment in file.comments] == ["# a", "# b", "# c", "#d"]


def test_spans_are_the_text_without_what_surrounds_it() -> None:
    block = read("\ufeff# c\nblock A()(x: [d]) {\r\n\ty = (x + 1)   # c\r\n}  # d\r\n").declarations[0]
    assert isinstance(block, tree.Block)
    assign = block.body[0]
    assert isinstance(assign, tree.Assign)
    assert assign.span.text == "y = (x + 1)"
    assert (assign.span.line, assign.span.column) == (3, 2)
    assert block.span.text.endswith("}")


def test_else_if_is_an_if_alone_in_otherwise() -> None:
    (choice,) = body("if a { } else if b { } else { y = x }")
    assert isinstance(choice, tree.If)
    (second,) = choice.otherwise
    assert isinstance(second, tree.If)
    assert len(second.otherwise) == 1


def test_scan_with_and_without_targets() -> None:
    one, two = body(
        "a, b = scan reverse xt in x, m in mask along t with h = x, c = x { emit h, c }\nscan xt in x along 1 { }"
    )
    assert isinstance(one, tree.Scan)
    assert isinstance(two, tree.Scan)
    assert [name.text for name in one.targets] == ["a", "b"]
    assert isinstance(one.over, tree.Along)
    assert (one.reverse, len(one.over.steps), len(one.carried), len(two.carried)) == (True, 2, 2, 0)


def test_scan_over_numbers() -> None:
    scan, assignment = body("s = scan step in 0..2 * k with h = x { until step > 3 }\nuntil = 3")
    assert isinstance(scan, tree.Scan)
    assert isinstance(scan.over, tree.Numbers)
    [end] = scan.body
    assert isinstance(end, tree.Until)
    assert isinstance(assignment, tree.Assign)


def test_share_members_views_and_exceptions() -> None:
    (share,) = read("share all { a[*].w.T,\n  b[0:6, ::3]\n, c.permute(1, 0),\n except d, e.f }\n").declarations
    assert isinstance(share, tree.Share)
    assert [shape(member) for member in share.members] == ["a[*].w.T", "b[0:6, ::3]", "c.permute(1, 0)"]
    assert [shape(exception) for exception in share.exceptions] == ["d", "e.f"]


def test_a_wrong_declaration_does_not_hide_the_others() -> None:
    problems = Problems()
    file = parse(Source("t.wsd", "let a = 1\nlet b = = 2\nlet c = 3"), problems)
    assert [d.name.text for d in file.declarations if isinstance(d, tree.Let)] == ["a", "c"]
    assert len(problems) == 1


def test_huge_and_deep_texts() -> None:
    wide = "let a = [" + "1, " * 20_000 + "]\n"
    assert len(read(wide).declarations) == 1
    for deep in (
        "(" * 10_000,
        "if a { " * 10_000,
        "[" * 10_000 + "]" * 10_000,
        "- " * 10_000,
        "f(" * 5_000 + ")" * 5_000,
    ):
        problems = Problems()
        parse(Source("t.wsd", f"let a = {deep}\n"), problems)
        assert 1 <= len(problems) <= 3
    problems = Problems()
    chain = " else ".join(["if a { }"] * 5_000)
    parse(Source("t.wsd", f"block A()(x: [d]) {{\n{chain}\n}}"), problems)
    assert [d.code for d in problems] == ["E0109"]


# -- the tables of the grammar -----------------------------------------------------------------------------------------


def _declarations(home: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of declarations that a new parser finds in a text with one."""
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setattr(parser, "_parser", None)
    reuse.forget()
    return len(read("let a = 1").declarations)


def test_tables_are_kept_as_json_and_a_damaged_cache_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _declarations(tmp_path, monkeypatch) == 1
    (cache,) = (tmp_path / "wsdl").iterdir()
    assert json.loads(cache.read_text(encoding="utf-8"))["data"]
    for damage in ("", "{", "[]", '{"data": {}, "memo": {}}', "\x00"):
        cache.write_text(damage, encoding="utf-8")
        assert _declarations(tmp_path, monkeypatch) == 1
        assert json.loads(cache.read_text(encoding="utf-8"))["data"]
    monkeypatch.setattr(lark.Lark, "__init__", None)  # tables are read, and not computed
    assert _declarations(tmp_path, monkeypatch) == 1
    assert capfd.readouterr() == ("", "")


def test_no_place_for_a_cache_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert _declarations(file / "below", monkeypatch) == 1
    assert capfd.readouterr() == ("", "")


def test_the_grammar_has_no_conflicts_and_no_kinds_of_layers() -> None:
    text = grammar_path().read_text(encoding="utf-8")
    assert "Dense" not in text.split("// -- declarations", 1)[1]
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign] # to listen
    lark.logger.addHandler(handler)
    level = lark.logger.level
    lark.logger.setLevel(logging.DEBUG)
    try:
        lark.Lark(text, parser="lalr", start=["declaration", "statements"], debug=True)
    finally:
        lark.logger.removeHandler(handler)
        lark.logger.setLevel(level)
    assert not [message for message in messages if "conflict" in message.lower()]


def test_several_values_for_several_names() -> None:
    [statement] = body("a, b = f(x), [x, y]")
    assert isinstance(statement, tree.Assign)
    assert [name.text for name in statement.targets] == ["a", "b"]
    assert [shape(value) for value in statement.values] == ["f(x)", "[x, y]"]


def test_a_source_is_parsed_once_and_another_text_anew() -> None:
    source = Source("m.wsd", "let a = 1\nlet = 2\n")
    problems, again = Problems(), Problems()
    assert parse(source, problems) is parse(source, again)
    assert [d.code for d in problems] == [d.code for d in again] != []
    [declaration] = parse(replace(source, text="let b = 1\n"), Problems()).declarations
    assert isinstance(declaration, tree.Let)
    assert declaration.name.text == "b"

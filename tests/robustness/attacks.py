# ruff: noqa: E501 - a table: each attack is one line, however long
"""Programs that ask for more than anybody has: nested without end, huge numbers, sizes that explode."""

from __future__ import annotations

from dataclasses import dataclass

DEEP = 10_000


@dataclass(frozen=True)
class Attack:
    """A program and the code of the error that it must end in; `None` where it is sound, only large."""

    name: str
    text: str
    code: str | None
    when_compiling: bool = False


def model(*lines: str, shape: str = "n, 8", result: str = "x") -> str:
    inside = "\n".join(f"    {line}" for line in (*lines, f"return {result}"))
    return f"model m(x: f32[{shape}]) {{\n{inside}\n}}\n"


def block(name: str, *lines: str, configuration: str = "") -> str:
    return (
        f"block {name}({configuration})(x: [..., d]) -> [..., d] {{\n"
        + "".join(f"    {line}\n" for line in lines)
        + "}\n"
    )


def nested(opening: str, middle: str, closing: str, count: int = DEEP) -> str:
    return opening * count + middle + closing * count


def tower(levels: int, uses: int, *, layers: bool) -> str:
    """A block that applies `uses` of the next, and so on: their number is `uses` to the power of `levels`."""
    text = ""
    for level in range(levels):
        below = f"B{level + 1}()" if level + 1 < levels else "Dense(8)"
        if layers:
            made = [f"layer l{i} = {below}" for i in range(uses)]
            text += block(f"B{level}", *made, *(f"x = l{i}(x)" for i in range(uses)), "return x")
        else:
            text += block(f"B{level}", *(f"x = x |> {below}" for _ in range(uses)), "return x")
    return text + model("x = x |> B0()")


def doubling(levels: int, start: str, step: str) -> str:
    lets = [f"let a0 = {start}", *(f"let a{i} = {step.replace('?', f'a{i - 1}')}" for i in range(1, levels))]
    return "\n".join(lets) + "\n" + model(f"x = x * a{levels - 1}")


def product_of_sums(names: int, power: int) -> str:
    inputs = ", ".join(f"x{i}: f32[n{i}]" for i in range(names))
    total = " + ".join(f"n{i}" for i in range(names))
    return (f"model m({inputs}) -> (y: f32[]) {{\n    let s = {total}\n    let p = {' * '.join(['s'] * power)}\n"
            f"    return sum(zeros([p]))\n}}\n")  # fmt: skip


def nested_for(depth: int, count: int, inside: str) -> str:
    heads = [f"for i{d} in 0..{count} {{" for d in range(depth)]
    return model(*heads, inside, *["}"] * depth)


def nested_scan(depth: int) -> str:
    """Along each axis of a tensor one, inside the one before."""
    lines, name = [], "x"
    for d in range(depth):
        lines.append(f"y{d} = scan s{d} in {name} along a{d} {{")
        name = f"s{d}"
    closing = [
        line
        for d in reversed(range(depth))
        for line in (f"emit {'s' if d == depth - 1 else 'y'}{d if d == depth - 1 else d + 1}", "}")
    ]
    axes = ", ".join([f"a{d}" for d in range(depth)] + ["4"])
    return model(*lines, *closing, shape=axes, result="y0")


def scans_in_a_row(count: int) -> str:
    return model(*[f"y{i} = scan s in {f'y{i - 1}' if i else 'x'} along n {{ emit relu(s) }}" for i in range(count)],
                 result=f"y{count - 1}")  # fmt: skip


LOOP = "for l in a { x = l(x) }"
INLINE = "x = x |> Dense(8)"
TRAINED = "\ntrain m(t: f32[n, 8]) {\n    loss mse(y, t)\n    optimizer SGD(lr=0.1)\n}\n"
# What the limits allow, near their edges: all but those with a code are sound.
EDGES = [
    Attack("some_statistics", model("layer a[2_000] = BatchNorm()", LOOP), None),
    Attack("statistics", model("layer a[6_600] = BatchNorm()", LOOP), None),
    Attack("layers_in_place", model(*[INLINE] * 9_900), None),
    Attack("layers", model("layer a[9_000] = Dense(8)", LOOP), None),
    Attack("layers_of_two", model("layer a[5_000] = Residual(Dense(8))", LOOP), None),
    Attack("layers_of_many", block("B", "return x + (x |> LayerNorm() |> Dense(d) |> relu)") + model("layer a[3_000] = B()", LOOP), None),
    Attack("one_layer", model("layer a = Dense(8)", "for i in 0..9_990 { x = a(x) }"), None),
    Attack("one_layer_with_statistics", model("layer a = BatchNorm()", "for i in 0..9_990 { x = a(x) }"), None),
    Attack("repetitions", model("for i in 0..9_990 {", *["x = relu(x)"] * 9, "}"), None),
    Attack("a_group", model("layer a[9_000] = Dense(8)", "share { a[*].weight }", LOOP), None),
    Attack("groups", model("layer a[8_000] = Dense(8)", "share { a[i].weight, a[i + 4_000].weight.T } for i in 0..4_000", LOOP), None),
    Attack("frozen", model("layer a[8_200] = Dense(8)", "for i in 0..8_200 { freeze a[i].weight }", LOOP), None),
    Attack("limited", model("limit params 1_000_000", "layer a[9_000] = Dense(8)", LOOP), None),
    Attack("models", "layer a = BatchNorm()\n" + "".join(model("x = a(x)").replace(" m(", f" m{i}(") for i in range(3_000)), None),
    Attack("bindings", model(*[f"y{i} = relu(x)" for i in range(30_000)]), None),
    Attack("parameters", model(*[f"param p{i}: f32[8]" for i in range(10_000)], "x = x + p0"), None),
    Attack("blocks", "".join(f"block B{i}()(x: [..., d]) -> [..., d] {{\n    return x\n}}\n" for i in range(9_000)) + model("x = x"), None),
    Attack("nesting", "".join(block(f"B{i}", f"return x |> B{i + 1}()" if i < 60 else "return relu(x)") for i in range(61)) + model("for i in 0..1_000 { x = x |> B0() }"), None),
    Attack("a_list", model(f"let a = [{', '.join(['1'] * 99_000)}]", "x = x * a[0]"), None),
    Attack("a_scan", model("y = scan s in x along n {", *["    s = relu(s)"] * 20_000, "    emit s", "}", result="y"), None),
    Attack("trained", model("layer a[3_000] = BatchNorm()", LOOP).replace(") {", ") -> (y: f32[n, 8]) {", 1) + TRAINED, None),
    Attack("orthogonal", "block O()(x: [..., d]) -> [..., d] {\n    param w: [3_250, 3_250] = orthogonal\n    return x + sum(w)\n}\n" + model("x = O()(x)"), None, when_compiling=True),
    Attack("beyond_orthogonal", "block O()(x: [..., d]) -> [..., d] {\n    param w: [3_251, 3_251] = orthogonal\n    return x + sum(w)\n}\n" + model("x = O()(x)"), "E0602", when_compiling=True),
    Attack("dense_lets", "".join(f"let a{i}=1\n" for i in range(49_000)) + model("x = x"), None),
    Attack("dense_blocks", "".join(f"block B{i}()(x:[d]){{return x}}\n" for i in range(15_000)) + model("x = x"), None),
    Attack("dense_models", "".join(f"model m{i}(x:f32[n]){{return x}}\n" for i in range(15_000)), None),
    Attack("dense_names", model(*["y=x"] * 62_000), None),
    Attack("dense_numbers", model(*[f"let a=1{'+1' * 30}"] * 3_800), None),
    Attack("dense_sums", "block B()(x:[d]) {\n" + f"y=x{'+x' * 40}\n" * 2_900 + "return x\n}\n" + model("x = x"), None),
    Attack("dense_arguments", model(f"y=relu({'x,' * 124_000}x)"), "E0222"),
    Attack("dense_parentheses", model(*[f"y={'(' * 50}x{')' * 50}"] * 2_300), None),
    Attack("dense_branches", model(*["if true{x=x}"] * 30_000), None),
    Attack("branches_of_layers", model(*[f"layer a{i}=Dense(8)" for i in range(9_000)], *["if true{x=x}"] * 15_000), None),
    Attack("beyond_words", "let a=1\n" * 60_000, "E0602"),
]  # fmt: skip
TOP = 2**62
THROUGH_ALL = model("for l in a {", "x = l(x)", "}")
ATTACKS = [
    # Nested without end.
    Attack("parentheses", model(f"y = {nested('(', 'x', ')')}"), "E0109"),
    Attack("open_parentheses", model(f"y = {'(' * DEEP}x"), "E0109"),
    Attack("closing_parentheses", model(f"y = x{')' * DEEP}"), "E0103"),
    Attack("brackets", model(f"y = {nested('[', '1', ']')}"), "E0109"),
    Attack("subscripts", model(f"y = {nested('x[', '0', ']')}"), "E0109"),
    Attack("subscripts_in_a_row", model(f"y = x{'[0]' * DEEP}"), "E0109"),
    Attack("calls", model(f"y = {nested('relu(', 'x', ')')}"), "E0109"),
    Attack("calls_in_a_row", model(f"y = x{'(x)' * DEEP}"), "E0109"),
    Attack("braces", "{" * DEEP, "E0109"),
    Attack("closing_braces", "}" * DEEP, "E0103"),
    Attack("if", model(nested("if true {\n", "x = x", "\n}")), "E0109"),
    Attack("if_on_one_line", model(nested("if true { ", "x = x", " }")), "E0109"),
    Attack("else_if", model("if true { x = x }" + " else if true { x = x }" * DEEP), "E0109"),
    Attack("for", model(nested("for i in 0..1 {\n", "x = x", "\n}")), "E0109"),
    Attack("scan", model(nested("y = scan a in x along 0 {\n", "emit a", "\n}")), "E0109"),
    Attack("blocks_in_blocks", nested("block A()(x: [n]) -> [n] {\n", "", "}\n"), "E0102"),
    Attack("minus", model(f"y = {'- ' * DEEP}x"), "E0109"),
    Attack("not", model(f"y = {'not ' * DEEP}true"), "E0109"),
    Attack("pipes", model(f"y = x{' |> relu' * DEEP}"), "E0109"),
    Attack("pipes_on_lines", model("y = x" + "\n|> relu" * DEEP), "E0109"),
    Attack("transposed", model(f"y = x{'.T' * DEEP}"), "E0109"),
    Attack("sums", model(f"y = {' + '.join(['x'] * DEEP)}"), "E0109"),
    Attack("powers", model(f"y = {' ** '.join(['2'] * DEEP)}"), "E0109"),
    Attack("powers_of_minus", model(f"y = x {'** -' * DEEP} 2"), "E0101"),
    Attack("comparisons", model(f"y = {' < '.join(['x'] * DEEP)}"), "E0134"),
    Attack("ands", model(f"y = {' and '.join(['true'] * DEEP)}"), "E0109"),
    Attack("a_path_in_share", f"layer a = Dense(8)\nshare {{ a{'.T' * DEEP}, a.weight }}\n", "E0109"),
    Attack("placeholders", 'layer a = Dense(8)\nload "a" into a {\n    "x" -> a' + ".{p}" * DEEP + "\n}\n", "E0109"),
    # Long, not deep.
    Attack("lets_in_a_row", doubling(DEEP, "1", "? + 0"), None),
    Attack("lets_backwards", "".join(f"let a{i} = a{i + 1}\n" for i in range(3000)) + "let a3000 = 1\n", "E0602"),
    Attack("many_errors", model(*[f"y{i} = nothing{i}" for i in range(DEEP)]), "E0201"),
    Attack("many_syntax_errors", model(*["y = = x" for _ in range(DEEP)]), "E0101"),
    Attack("many_broken_declarations", "block block block\n" * DEEP, "E0101"),
    Attack("many_errors_of_one_name", model(*["y = x + nothing" for _ in range(DEEP)]), "E0201"),
    Attack("many_models", "".join(model("x = x").replace(" m(", f" m{i}(") for i in range(3000)), None),
    Attack("many_wrong_shapes", model(*["y = x @ x" for _ in range(DEEP)]), None),
    Attack("a_long_name", model(f"y = {'a' * 1_000_000}"), "E0201"),
    Attack("a_long_string", model(f'y = "{"a" * 1_000_000}"'), None),
    Attack("a_long_number", model(f"y = {'9' * 1_000_000}"), "E0107"),
    Attack("a_long_fraction", model(f"y = x * 0.{'9' * 1_000_000}"), None),
    Attack("a_large_exponent", model("y = x * 1e999999999"), "E0107"),
    Attack("a_long_comment", "#" * 1_900_000, None),
    Attack("blank_lines", "\n" * 240_000, None),
    Attack("spaces", " " * 1_900_000, None),
    Attack("quotes", '"' * 200_000, "E0117"),
    Attack("single_quotes", "'" * 200_000, "E0105"),
    Attack("backslashes", '"' + "\\" * 200_000, "E0104"),
    Attack("comment_openings", "/*" * 200_000, "E0116"),
    Attack("semicolons", ";" * 200_000, "E0115"),
    Attack("commas", model(f"y = f({',' * 200_000})"), "E0132"),
    Attack("dots", "." * 200_000, "E0101"),
    Attack("a_long_list", model(f"y = [{'1, ' * 110_000}]"), "E0417"),
    Attack("many_arguments", model(f"y = relu({', '.join(['x'] * 20_000)})"), "E0222"),
    Attack("many_inputs", f"model m({', '.join(f'x{i}: f32[n]' for i in range(20_000))}) {{\n    return x0\n}}\n", None),
    Attack("many_axes", f"model m(x: f32[{', '.join(f'n{i}' for i in range(5_000))}]) {{\n    return relu(x)\n}}\n", None),
    Attack("ellipses", f"model m(x: f32[{'..., ' * 5_000}]) {{\n    return x\n}}\n", "E0416"),
    # Repetitions.
    Attack("ten_million_steps", model("for i in 0..10_000_000 {", "x = relu(x)", "}"), "E0602"),
    Attack("loops_in_loops", nested_for(4, 9_999, "let nothing = 0"), "E0602"),
    Attack("empty_loops_in_loops", nested_for(20, 100, ""), "E0602"),
    Attack("loops_over_nothing", nested_for(20, 2, "if i0 == 5 { x = relu(x) }"), "E0602"),
    Attack("a_billion_layers", model("layer l[1_000_000_000] = Dense(8)", "x = l[0](x)"), "E0602"),
    Attack("layers_of_layers", block("B", "layer l[9_999] = Dense(8)", "for m in l { x = m(x) }", "return x")
           + model("layer l[9_999] = B()", "for m in l { x = m(x) }"), "E0602"),
    Attack("unused_layers_of_layers", block("C", "layer l[9_999] = Dense(8)", "return x")
           + block("B", "layer l[9_999] = C()", "return x") + model("layer l[9_999] = B()", "x = l[0](x)"), None),
    Attack("share_for", "layer a[2] = Dense(8)\nshare { a[0].weight, a[1].weight } for i in 0..1_000_000_000\n", "E0602"),
    Attack("share_for_for", model("layer a[2] = Dense(8)", "for i in 0..9_999 {", "share { a[0].weight, a[1].weight } for j in 0..9_999", "}"), "E0602"),
    Attack("share_over_many", model("layer a[9_000] = Dense(8)", "share { a[*].weight }", "share { a[*].bias }", "for l in a { x = l(x) }"), None),
    Attack("share_many_over_many", model("layer a[5_000] = Dense(8)", *["share { a[*].weight }"] * 2_000, "for l in a { x = l(x) }"), "E0602"),
    Attack("slices_over_many", model("layer a[3_000] = Dense(8)", *[f"share {{ a[{i}:3_000].weight }}" for i in range(1_000)], "for l in a { x = l(x) }"), "E0602"),
    Attack("freeze_many", model("layer a[5_000] = Dense(8)", *["freeze a[*].weight"] * 2_000, "for l in a { x = l(x) }"), "E0602"),
    Attack("load_over_many", 'layer a[9_000] = Dense(8)\nload "no.safetensors" into a {\n'
           + "".join('    "{i}.{p}{q}" -> a[i].{p}\n' for _ in range(15)) + "}\n" + THROUGH_ALL, "E0505"),
    Attack("load_with_many_holes", 'layer a[900] = Dense(8)\nload "no.safetensors" into a {\n    "' + "{i}" * 2_000 + '" -> a[i].weight\n}\n' + THROUGH_ALL, "E0505"),
    # Blocks of blocks.
    Attack("a_block_of_itself", block("A", "layer a = A()", "return a(x)") + model("x = A()(x)"), "E0218"),
    Attack("a_block_of_itself_inline", block("A", "return A()(x)") + model("x = A()(x)"), "E0218"),
    Attack("a_block_of_itself_twice", block("A", "return A()(A()(x))") + model("x = A()(x)"), "E0218"),
    Attack("two_blocks_of_each_other", block("A", "return B()(x)") + block("B", "return A()(x)") + model("x = A()(x)"), "E0218"),
    Attack("a_block_that_counts", block("A", "return A(n=n + 1)(x)", configuration="n: int") + model("x = A(n=0)(x)"), "E0218"),
    Attack("a_block_by_configuration", block("A", "return f(x)", configuration="f: layer") + model("layer a = A(f=A(f=A(f=relu)))", "x = a(x)"), None),
    Attack("a_block_that_gets_itself", block("A", "return A(f=A(f=f))(x)", configuration="f: layer") + model("x = A(f=Dense(8))(x)"), "E0218"),
    Attack("a_block_that_doubles", block("A", "return A(l=l + l)(x)", configuration="l: list") + model("x = A(l=[1])(x)"), "E0417"),
    Attack("a_block_with_two_ends", block("A", "if n == 0 { return x }", "return A(n=n - 1)(A(n=n - 1)(x))", configuration="n: int") + model("x = A(n=50)(x)"), "E0602"),
    Attack("forty_blocks_of_two", tower(40, 2, layers=False), "E0602"),
    Attack("forty_blocks_of_two_layers", tower(40, 2, layers=True), "E0602"),
    Attack("forty_blocks_of_none", tower(40, 2, layers=True).replace("Dense(8)", "Dropout(0.5)"), "E0602"),
    Attack("sixteen_blocks_of_two", tower(15, 2, layers=True), "E0602"),
    Attack("a_thousand_blocks", tower(1_000, 1, layers=True), "E0602"),
    # Numbers.
    Attack("a_power_of_powers", model("let a = 9 ** 9 ** 9", "x = x * a"), "E0417"),
    Attack("a_power_of_a_fraction", model("let a = 9.5 ** 9.5 ** 9", "x = x * a"), "E0417"),
    Attack("a_negative_power", model("let a = 2 ** -1_000_000", "x = x * a"), "E0417"),
    Attack("a_string_of_strings", model('let a = "a" * 1_000_000_000'), "E0406"),
    Attack("strings_that_double", doubling(60, '"ab"', "? + ?"), "E0406"),
    Attack("a_list_of_lists", model("let a = [0] * 1_000_000_000"), "E0417"),
    Attack("lists_that_repeat", model("let a = [0] * 99_999", "let b = [a] * 99_999"), "E0417"),
    Attack("layers_that_repeat", model("layer f = Dense(8)", "x = x |> Sequential([f] * 99_999)"), "E0602"),
    Attack("lists_to_search", model("let a = [0] * 99_999", "for i in 0..9_999 { require 1 not in a }"), "E0602"),
    Attack("lists_to_compare", model("let a = [0] * 99_999", "for i in 0..9_999 { require a == a }"), "E0602"),
    Attack("lists_of_extremes", model("let a = [0] * 99_999", "for i in 0..9_999 { let b = max(a) }"), "E0602"),
    Attack("lists_that_double", doubling(60, "[1]", "? + ?"), "E0417"),
    Attack("lists_that_nest", doubling(60, "[1]", "[?, ?]"), "E0417"),
    Attack("a_list_that_doubles", model("let l = [1]", "for i in 0..60 { l = l + l }"), "E0417"),
    Attack("numbers_that_double", doubling(200, "3", "? * ?"), "E0417"),
    Attack("fractions_that_double", doubling(200, "3.5", "? * ?"), "E0417"),
    Attack("a_range_of_top", model(f"for i in {TOP}..{TOP + 5} {{", "x = relu(x)", "}"), None),
    # Sizes.
    Attack("a_product_of_sums", product_of_sums(12, 12), "E0602"),
    Attack("a_power_of_sums", "model m(a: f32[n], b: f32[k], c: f32[l], d: f32[o]) -> (y: f32[]) {\n    let p = ((((n + k + l + o) ** 8) ** 8) ** 8)\n    return sum(zeros([p]))\n}\n", "E0602"),
    Attack("sizes_that_double", "model m(x: f32[n, k]) -> (y: f32[]) {\n    let a0 = n + k\n" + "".join(f"    let a{i} = a{i - 1} * a{i - 1}\n" for i in range(1, 40)) + "    return sum(zeros([a39]))\n}\n", "E0602"),
    Attack("sizes_that_divide", "model m(x: f32[n, k]) -> (y: f32[]) {\n    let a0 = n + k\n" + "".join(f"    let a{i} = a{i - 1} // 3 + a{i - 1} % 7\n" for i in range(1, 60)) + "    return sum(zeros([a59]))\n}\n", "E0602"),
    Attack("shapes_that_double", model(*["x = concat([x, x], axis=0)"] * 70), "E0405"),
    Attack("shapes_that_flatten", "model m(x: f32[a, b, c, d]) {\n" + "    x = reshape(concat([x, x[:, :, :, 1:]], axis=3), [a, b, c, -1])\n" * 30 + "    return x\n}\n", None),
    Attack("an_input_of_top", f"model m(x: f32[{TOP}, {TOP}]) {{\n    return relu(x)\n}}\n", "E0405"),
    Attack("an_input_beyond", f"model m(x: f32[{2**64}]) {{\n    return relu(x)\n}}\n", "E0405"),
    Attack("a_layer_of_top", model(f"x = x |> Dense({TOP})"), "E0405"),
    Attack("a_product_beyond", model(f"x = x |> Dense({2**32}) |> Dense({2**32})"), "E0602"),
    Attack("many_large_layers", model(*[f"x = x |> Dense({2**18})"] * 60), None),
    Attack("a_trillion_parameters", model(f"x = x |> Dense({10**6}) |> Dense({10**6})"), None),
    Attack("zeros_of_top", model(f"x = x + sum(zeros([{TOP}, {TOP}]))"), "E0405"),
    Attack("a_large_constant", model("x = x + sum(ones([1_000_000_000]))"), None),
    Attack("a_large_range", model("x = x + sum(range(1_000_000_000_000))"), "E0201"),
    Attack("a_kernel_of_top", model(f"return x |> Conv2d(8, {TOP}, pad={TOP})", shape="n, 3, 8, 8"), "E0405"),
    Attack("a_pad_of_top", model(f"x = pad(x, [[0, 0], [{TOP}, {TOP}]])"), "E0405"),
    Attack("a_repeat_of_top", model(f"x = repeat(x, {TOP}, axis=1)"), "E0201"),
    Attack("splits", model(f"y = split(x, {TOP})"), "E0414"),
    Attack("unsqueezed", model(f"x = unsqueeze(x, {TOP})"), "E0414"),
    Attack("an_index_of_top", model(f"x = x[{TOP}]"), None),
    Attack("a_step_of_top", model(f"x = x[::{TOP}]"), None),
    Attack("a_limit_of_top", model("limit params " + "9" * 50, "x = x"), None),
    # Scans.
    Attack("scan_in_scan", nested_scan(16), None, when_compiling=True),
    Attack("scan_in_scan_more", nested_scan(17), "E0602"),
    Attack("scan_in_scan_deep", nested_scan(90), "E0602"),
    Attack("scan_in_scan_without_end", nested_scan(DEEP), "E0109"),
    Attack("scans_in_a_row", scans_in_a_row(1000), None, when_compiling=True),
    Attack("scan_of_top", f"model m(x: f32[{TOP}, 8]) {{\n    y = scan s in x along 0 {{\n        emit relu(s)\n    }}\n    return y\n}}\n", "E0405"),
    Attack("nul", "model m(x: f32[n]) {\n    return x\x00\n}\n\x00\x00", "E0106"),
    Attack("only_bom", "\ufeff", None),
    Attack("a_number_beyond_f32", model("x = x * 1e300"), "E0225"),
    Attack("a_number_beyond_i64", model("x = x + cast(zeros([1]), i64) * 99999999999999999999"), "E0225"),
    # Sound when checked, and more than there is room for.
    Attack("parameters_beyond_memory", model(f"x = x |> Dense({10**6}) |> Dense({10**6})"), "E0709", when_compiling=True),
    Attack("a_pad_beyond", model(f"x = pad(x, [[0, 0], [{TOP}, {TOP}]])"), "E0405", when_compiling=True),
    Attack("many_models_to_compile", "".join(model("x = x").replace(" m(", f" m{i}(") for i in range(500)), None, when_compiling=True),
    Attack("zeros_to_compile", model(f"x = x + sum(zeros([{TOP - 1}, {TOP - 1}]))"), None, when_compiling=True),
    Attack("lone_brace", "{", "E0102"),
]  # fmt: skip

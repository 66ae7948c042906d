"""What becomes of a `train` declaration: the graph of its loss, over the model's own weights."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.stages import examined, storage_of
from wsdl.diagnostics import Problems
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source
from wsdl.differentiation.differentiate import differentiate
from wsdl.ir.graph import Value
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.text import to_text
from wsdl.ir.training import COMMON, OPTIMIZERS, SCHEDULES, Objective
from wsdl.ops.interpreter import evaluate
from wsdl.sharing.read_stored import evaluation_over_stored, objective_over_stored, read_stored
from wsdl.training import optimizers

PROGRAMS = Path(__file__).parents[1] / "syntax" / "programs"
MODEL = """
model m(x: f32[n, 4]) -> (y: f32[n]) {
    layer encode = Dense(3)
    layer heads[2] = Dense(1)
    h = x |> encode |> tanh
    return squeeze(heads[0](h) + heads[1](h), 1)
}
"""
GROUPS = """
layer encode = Dense(3)

model m(x: f32[n, 4]) -> (y: f32[n]) {
    layer head = Dense(1)
    layer other = Dense(1)
    share tied { head, other }
    h = x |> encode |> tanh
    return squeeze(head(h) + other(h), 1)
}
"""


def program_of(*lines: str, model: str = MODEL, targets: str = "wanted: f32[n]") -> Storage:
    body = "\n".join(f"    {line}" for line in lines)
    return storage_of(f"{model}\ntrain m({targets}) {{\n{body}\n}}\n")


def trained(*lines: str, model: str = MODEL, targets: str = "wanted: f32[n]") -> ResolvedTraining:
    return program_of(*lines, model=model, targets=targets).trainings["m"]


MSE, ADAM = "loss mse(y, wanted)", "optimizer Adam(lr=1e-3)"


def parameters(objective: Objective) -> dict[str, Value]:
    return {str(n.attributes["stored"]): n.result for n in objective.graph.nodes if n.op == "parameter"}


@pytest.mark.parametrize("name", ["siamese", "training"])
def test_the_programs_of_the_design_are_understood(name: str) -> None:
    (training,) = storage_of((PROGRAMS / f"{name}.wsd").read_text("utf-8")).trainings.values()
    assert training.trained


def test_the_model_itself_is_as_without_training() -> None:
    with_training = program_of(MSE, ADAM)
    assert to_text(read_stored(with_training)) == to_text(read_stored(storage_of(MODEL)))
    assert [len(module.uses) for module in with_training.models["m"].module.modules()] == [0, 1, 1, 1]


def test_the_loss_and_its_gradient_are_those_of_pytorch() -> None:
    program = program_of(
        "error = (y - wanted) ** 2",
        "loss 0.5 * error",
        "for head in heads {",
        "    loss 1e-2 * sum(head.weight ** 2)",
        "}",
        "metric far = abs(y - wanted) > 1",
        "metric same = x[:, 0] == x[:, 0]",
        ADAM,
    )
    training = program.trainings["m"]
    objective, evaluation = objective_over_stored(program, training), evaluation_over_stored(program, training)
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=v.type.sizes or ()).astype(np.float32) for name, v in parameters(objective).items()}
    x, wanted = rng.normal(size=(5, 4)).astype(np.float32), rng.normal(size=5).astype(np.float32)
    tensors = {name: torch.from_numpy(array).requires_grad_() for name, array in values.items()}
    h = torch.tanh(F.linear(torch.from_numpy(x), tensors["m.encode.weight"], tensors["m.encode.bias"]))
    heads = [F.linear(h, tensors[f"m.heads.{i}.weight"], tensors[f"m.heads.{i}.bias"]) for i in range(2)]
    y = (heads[0] + heads[1]).squeeze(1)
    penalty = sum((tensors[f"m.heads.{i}.weight"] ** 2).sum() for i in range(2))
    loss = 0.5 * F.mse_loss(y, torch.from_numpy(wanted)) + 1e-2 * penalty
    far = (abs(y - torch.from_numpy(wanted)) > 1).float().mean()

    graph, wrt = objective.graph, list(parameters(objective).values())
    got = evaluate(graph, [x, wanted], values)
    np.testing.assert_allclose(got[0], loss.item(), rtol=1e-5)
    np.testing.assert_allclose(got[1:], [far.item(), 1], rtol=1e-6)
    np.testing.assert_allclose(evaluate(evaluation.graph, [x, wanted], values), got)
    assert list(objective.metrics) == ["far", "same"]

    gradients = differentiate(graph, objective.loss, wrt)
    graph.outputs = [g for g in gradients if g is not None]
    expected = torch.autograd.grad(loss, list(tensors.values()))
    for actual, tensor in zip(evaluate(graph, [x, wanted], values), expected, strict=True):
        np.testing.assert_allclose(actual, tensor.numpy(), rtol=1e-4, atol=1e-6)


def test_sizes_of_targets_are_those_of_the_model() -> None:
    training = trained(
        "loss cross_entropy(y, label)",
        ADAM,
        model="let c = 3\nmodel m(x: f32[n, t, 4]) -> (y: f32[n, t, c]) {\n    return x |> Dense(c)\n}\n",
        targets="label: i64[n, t]",
    )
    assert str(training.written.objective.targets[0].type) == "i64[n, t]"
    assert [v.name for v in training.written.objective.graph.inputs] == ["x", "label"]
    assert not training.written.objective.graph.outputs[0].type.shape


def test_what_is_frozen_and_how_fast_the_rest_is() -> None:
    training = trained(
        "lr encode = 1e-4",
        "lr encode.bias = constant(0.5)",
        MSE,
        "optimizer SGD(lr=cosine(1e-2, warmup=10, end=1e-3), momentum=0.9)",
        "freeze heads[*].bias",
    )
    assert training.trained == ("m.encode.weight", "m.encode.bias", "m.heads.0.weight", "m.heads.1.weight")
    assert training.frozen == {"m.heads.0.bias", "m.heads.1.bias"}
    assert {name: str(training.schedule_of(name)) for name in training.trained} == {
        "m.encode.weight": "cosine(0.0001, warmup=10, end=1e-05)",
        "m.encode.bias": "constant(0.5)",
        "m.heads.0.weight": "cosine(0.01, warmup=10, end=0.001)",
        "m.heads.1.weight": "cosine(0.01, warmup=10, end=0.001)",
    }


def test_groups_and_layers_of_the_file_have_paths_too() -> None:
    training = trained(MSE, ADAM, "freeze tied", "lr encode = 1e-2", model=GROUPS)
    assert training.trained == ("encode.weight", "encode.bias")
    assert training.frozen == {"m.tied.weight", "m.tied.bias"}
    assert str(training.schedule_of("encode.bias")) == "constant(0.01)"


def test_parameters_of_the_model_have_paths() -> None:
    model = MODEL.replace("    h = x", "    param scale: [4]\n    h = x * scale")
    training = trained(MSE, ADAM, "freeze scale", "lr heads = 1e-2", model=model)
    assert training.frozen == {"m.scale"}
    training = trained(MSE, ADAM, "lr scale = 1e-2", model=model)
    assert str(training.schedule_of("m.scale")) == "constant(0.01)"


def test_a_freeze_of_the_file_holds_in_training() -> None:
    training = trained(MSE, ADAM, model=f"{GROUPS}\nfreeze encode\n")
    assert training.trained == ("m.tied.weight", "m.tied.bias")


def test_a_layer_with_a_named_group_inside_is_frozen_as_a_whole() -> None:
    net = """
block Net()(x: [n, d]) -> [n, d] {
    layer a = Dense(4)
    layer b = Dense(4)
    share tied { a.weight, b.weight }
    return x |> a |> b |> Dense(4)
}
model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    layer net = Net()
    return x |> net |> Dense(4)
}
"""
    inside = {"m.net.tied", "m.net.a.bias", "m.net.b.bias", "m.net.dense.weight", "m.net.dense.bias"}
    assert trained("loss mean(y ** 2)", ADAM, "freeze net", model=net, targets="").frozen == inside
    training = trained("loss mean(y ** 2)", ADAM, model=f"{net}\nfreeze m.net\n", targets="")
    assert training.trained == ("m.dense.weight", "m.dense.bias")


def test_optimizers_have_all_their_options() -> None:
    assert OPTIMIZERS.keys() == optimizers.OPTIMIZERS.keys()
    for name, table in OPTIMIZERS.items():
        optimizer = trained(MSE, f"optimizer {name}(lr=0.1)").written.optimizer
        assert optimizer.options.keys() == {o.name for o in (*table, *COMMON)} - {"lr"}
        assert str(optimizer.lr) == "constant(0.1)"
    given = trained(MSE, "optimizer AdamW(linear(0.1, 500), [0, 0.5], ema=0.999, clip_norm=1)").written.optimizer
    assert given.options["betas"] == [0.0, 0.5]
    assert (given.options["ema"], given.options["clip_norm"], given.options["clip_value"]) == (0.999, 1.0, None)
    assert given.lr.options == {"lr": 0.1, "steps": 500, "warmup": 0, "end": 0.0}
    assert trained(MSE, "optimizer Lion()").written.optimizer.lr.options["lr"] == 1e-4


@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedules_have_all_their_options(kind: str) -> None:
    every = ", every=10" if kind == "step" else ""
    schedule = trained(MSE, f"optimizer Adam(lr={kind}(0.1{every}))").written.optimizer.lr
    assert schedule.kind == kind
    assert schedule.options.keys() == {o.name for o in SCHEDULES[kind]}


def test_a_block_without_weights_may_be_applied() -> None:
    block = "block Far()(a: f32[n], b: f32[n]) -> f32[n] {\n    return relu(abs(a - b) - 1)\n}\n"
    training = trained("loss Far()(y, wanted)", "metric far = Far()(y, wanted) > 0", ADAM, model=block + MODEL)
    assert len(training.trained) == 6


PATHS = """
layer outside = Dense(4)

block Normed()(x: [n, c]) -> [n, c] {
    layer norm = BatchNorm()
    share inner { twin.weight, other.weight }
    layer twin = Dense(c)
    layer other = Dense(c)
    return x |> norm |> twin |> other
}

model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    param scale: [] = ones
    layer blocks[3] = Normed()
    layer tied[2] = Dense(4)
    share both { tied[*] }
    x = outside(x) * scale
    for block in blocks {
        x = block(x)
    }
    return x |> tied[0] |> tied[1]
}
"""


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        ("scale", "m.scale"),
        ("blocks", "m.blocks.* 15"),
        ("blocks[*]", "m.blocks.* 15"),
        ("blocks[1]", "m.blocks.1.* 5"),
        ("blocks[-1]", "m.blocks.2.* 5"),
        ("blocks[0:2]", "m.blocks.[01].* 10"),
        ("blocks[::2]", "m.blocks.[02].* 10"),
        ("blocks[0].norm", "m.blocks.0.norm.* 2"),
        ("blocks[*].norm.weight", "m.blocks.?.norm.weight 3"),
        ("blocks[*].inner", "m.blocks.?.inner 3"),
        ("blocks[0].inner", "m.blocks.0.inner"),
        ("blocks[0].twin.bias", "m.blocks.0.twin.bias"),
        ("blocks[0].twin.bias.flip(0)", "m.blocks.0.twin.bias"),
        ("blocks[0].norm.weight[:]", "m.blocks.0.norm.weight"),
        ("blocks[0].norm.weight[0:4]", "m.blocks.0.norm.weight"),
        ("both", "m.both.* 2"),
        ("both.weight", "m.both.weight"),
        ("both.weight.T", "m.both.weight"),
        ("tied", "m.both.* 2"),
        ("outside", "outside.* 2"),
        ("outside.weight.reshape(2, 8)", "outside.weight"),
        ("blocks[0].norm.weight[0:3]", "E0332"),
        ("both.weight[1]", "E0332"),
        ("both.weight.T[:, 0:2]", "E0332"),
        ("outside.weight.reshape(2, 8)[0:1]", "E0332"),
        ("scale.T", "E0315"),
        ("blocks[0].twin.weight", "E0325"),
        ("tied[0]", "E0325"),
        ("blocks.norm", "E0310"),
        ("blocks[3]", "E0316"),
        ("blocks[0].nor", "E0317"),
        ("bith", "E0317"),
        ("blocks[0].norm.T", "E0319"),
    ],
)
def test_a_path_means_the_same_everywhere(path: str, stored: str) -> None:
    """`freeze` in the model, in the file and in the `train`; `lr`: the same tensors, or the same code."""
    lines, inside = f"train m(wanted: f32[n, 4]) {{\n    {MSE}\n    {ADAM}\n", PATHS.rpartition("    x = outside")
    outside = path if path.startswith("outside") else f"m.{path}"
    found = {
        "freeze in training": f"{PATHS}{lines}    freeze {path} train\n}}",
        "freeze in the file": f"{PATHS}freeze {outside} train\n{lines}}}",
        "freeze in the model": f"{inside[0]}    freeze {path} train\n{inside[1]}{inside[2]}{lines}}}",
        "lr": f"{PATHS}{lines}    lr {path} = 0.5\n}}",
    }
    if path.startswith("outside"):
        del found["freeze in the model"]  # which sees its own layers
    wanted, _, count = stored.partition(" ")
    for way, text in found.items():
        problems = Problems()
        program = examined(Source("test.wsd", text), problems)
        errors = [d.code for d in problems.errors]
        if stored.startswith("E"):
            assert errors == [stored] if (way, stored) != ("lr", "E0325") else not errors, way
            continue
        assert program is not None, (way, render(problems))
        training = program.trainings["m"]
        params = {s.name for s in program.stored.values() if s.root.kind == "param"}
        frozen = {s.name for s in program.stored.values() if s.frozen or s.name in training.frozen} & params
        moved = {name for name in params if str(training.schedule_of(name)) == "constant(0.5)"}
        named = moved if way == "lr" else frozen
        assert named == {name for name in params if fnmatch(name, wanted)}, way
        assert len(named) == int(count or 1), way

"""What is frozen is computed forward only: the gradient ends at the new layer. Its running statistics stay."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import wsdl
from references.training.catalogue import EXAMPLES
from tests.stages import storage_of
from wsdl.diagnostics.span import Source
from wsdl.ir.graph import Graph
from wsdl.ir.stages import Storage
from wsdl.ir.training_graphs import TrainStep
from wsdl.pipelines.training import evaluation, train_step

REVIEWS = EXAMPLES / "training" / "reviews.wsd"


def checked(text: str) -> Storage:
    return storage_of(Source(str(REVIEWS), text))


def step_of(program: Storage) -> TrainStep:
    return train_step(program, program.trainings["transfer"])


def operations(graph: Graph) -> Counter[str]:
    """How often each operation is computed in the encoder."""
    return Counter(node.op for node in graph.walk() if node.path.startswith("transfer.encoder"))


def test_the_step_has_nothing_backward_in_the_encoder() -> None:
    program = checked(REVIEWS.read_text("utf-8"))
    forward = operations(evaluation(program, program.trainings["transfer"]).rounds[0].phase.graph)
    step = step_of(program)
    assert forward["layer_norm"] == 13
    assert operations(step.model.graph) == forward
    assert [stored.name for stored in step.trained] == ["transfer.head.weight", "transfer.head.bias"]
    changed = sum(int(np.prod(program.stored[name].sizes)) for name in step.feeds.values() if name in program.stored)
    assert changed == 384 + 1


def test_without_the_freeze_it_has() -> None:
    """So the test above can fail."""
    program = checked(REVIEWS.read_text("utf-8").replace("    freeze encoder\n", ""))
    forward = operations(evaluation(program, program.trainings["transfer"]).rounds[0].phase.graph)
    step = step_of(program)
    assert operations(step.model.graph).total() > 2 * forward.total()
    assert len(step.trained) == 2 + 5 + 6 * 16


NORMED = """
block Unit()(x: [n, c]) -> [n, c] {
    layer norm = BatchNorm()
    layer drop = Dropout(0.5)
    return x |> norm |> tanh DROP
}

model m(x: f32[n, 4]) -> (y: f32[n, 2]) {
    layer before = Dense(4)
    layer nets[2] = Unit()
    layer after = Dense(2)
    FREEZE_IN_MODEL
    x = x |> before |> nets[0]
    TWICE
    return after(x)
}

train m(wanted: f32[n, 2]) {
    loss mse(y, wanted)
    optimizer SGD(lr=0.5)
    FREEZE
}
"""


ONE_BY_ONE = "x = x |> nets[1] |> nets[1]"
IN_A_SCAN = "scan step in arange(2) along 2 with x = x {\n        x = nets[1](x)\n    }"


def text_of(freeze: str, inside: str = "", drop: str = "", twice: str = ONE_BY_ONE) -> str:
    text = NORMED.replace("FREEZE_IN_MODEL", inside).replace("FREEZE", freeze).replace("DROP", drop)
    return text.replace("TWICE", twice)


def normed(freeze: str, inside: str = "", drop: str = "", twice: str = ONE_BY_ONE) -> Any:
    """The program, with statistics that no batch has."""
    text = text_of(freeze, inside, drop, twice)
    rng = np.random.default_rng(3)
    given = {f"m.nets.{i}.norm.{n}": rng.uniform(0.5, 2, 4).astype("f4") for i in (0, 1) for n in NORM}
    return wsdl.compile(Source("m.wsd", text), weights=given, partial=True)


NORM = ("weight", "bias", "running_mean", "running_var")


def in_pytorch(values: dict[str, Any], x: Any, wanted: Any, modes: tuple[str, str, str]) -> Any:
    """The weights of the first layer after eight steps in which each application is normalized in its mode."""
    p = {name.removeprefix("m."): torch.tensor(array) for name, array in values.items()}
    learned = [p[f"{layer}.{n}"].requires_grad_() for layer in ("before", "after") for n in ("weight", "bias")]
    optimizer = torch.optim.SGD(learned, lr=0.5)
    for _ in range(8):
        h = F.linear(torch.tensor(x), *learned[:2])
        for net, mode in zip((0, 1, 1), modes, strict=True):
            weight, bias, mean, var = (p[f"nets.{net}.norm.{n}"] for n in NORM)
            by_batch = mode == "train"
            stored = None if by_batch else mean, None if by_batch else var
            h = torch.tanh(F.batch_norm(h, stored[0], stored[1], weight, bias, training=by_batch))
        optimizer.zero_grad()
        F.mse_loss(F.linear(h, *learned[2:]), torch.tensor(wanted)).backward()
        optimizer.step()
    return learned[0].detach().numpy()


@pytest.mark.parametrize(
    ("freeze", "inside", "modes"),
    [
        ("freeze nets", "", "train train"),
        ("freeze nets train", "", "train train"),
        ("freeze nets eval", "", "eval eval"),
        ("", "freeze nets eval", "eval eval"),
        ("freeze nets[1] train", "freeze nets eval", "eval train"),
        ("freeze nets train\n    freeze nets[1].norm eval", "", "train eval"),
        ("freeze nets[*].norm.running_mean, nets[*].norm.running_var eval\n    freeze nets", "", "eval eval"),
    ],
)
@pytest.mark.parametrize("twice", [ONE_BY_ONE, IN_A_SCAN], ids=["one by one", "in a scan"])
def test_a_frozen_norm_as_in_pytorch(freeze: str, inside: str, modes: str, twice: str) -> None:
    program = normed(freeze, inside, twice=twice)
    rng = np.random.default_rng(1)
    x, wanted = rng.normal(size=(8, 4)).astype("f4"), rng.normal(size=(8, 2)).astype("f4")
    trainer = program.trainer(batch=8)
    for _ in range(8):
        trainer.step({"x": x, "wanted": wanted})
    first, second = modes.split()
    expected = in_pytorch(dict(program.stored), x, wanted, (first, second, second))
    np.testing.assert_allclose(trainer.weights["m.before.weight"], expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(program.stored["m.before.weight"], expected, atol=1e-2)
    for name in (f"m.nets.{i}.norm.{n}" for i in (0, 1) for n in NORM):
        np.testing.assert_array_equal(trainer.weights[name], program.stored[name], err_msg=name)
    assert trainer.evaluate({"x": x, "wanted": wanted})["loss"] > 0


@pytest.mark.parametrize(("mode", "is_random"), [("eval", False), ("train", True)])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_dropout_of_what_is_frozen(mode: str, is_random: bool, accumulate: int) -> None:
    """At inference there is none, in PyTorch's `eval()` too."""
    trainer = normed(f"freeze nets {mode}", drop="|> drop").trainer(batch=8, accumulate=accumulate)
    assert ("seed" in trainer.state) == is_random
    plain = normed(f"freeze nets {mode}").trainer(batch=8, accumulate=accumulate)
    batch = {"x": np.ones((8, 4), "f4") * np.arange(8, dtype="f4")[:, None], "wanted": np.ones((8, 2), "f4")}
    assert (trainer.step(batch) == plain.step(batch)) is not is_random


def test_statistics_of_what_is_frozen_are_no_state_of_the_step() -> None:
    program = checked(text_of("freeze nets[0] train"))
    step = train_step(program, program.trainings["m"])
    assert [s.name for s in step.statistics] == ["m.nets.1.norm.running_mean", "m.nets.1.norm.running_var"]
    assert not [name for name in step.feeds.values() if name.startswith("m.nets.0")]


BACKBONE = """
block Backbone()(image: [n, 3, h, w]) -> [n, 24] {
    layer stem = Sequential([Conv2d(8, kernel=3, stride=2, pad=1, bias=false), BatchNorm()])
    layer blocks = [InvertedResidual(8, expand=2), InvertedResidual(12, stride=2), InvertedResidual(12)]
    layer squeeze = SqueezeExcite(4)
    layer last = Sequential([Conv2d(24, kernel=1, bias=false), BatchNorm()])
    x = image |> stem |> silu
    for block in blocks {
        x = block(x)
    }
    return x |> squeeze |> last |> silu |> mean(axis=[2, 3]) |> Dropout(0.2)
}

layer backbone = Backbone()

model features(image: f32[n, 3, 16, 16]) -> (y: f32[n, 24]) {
    return backbone(image)
}

model classify(image: f32[n, 3, 16, 16]) -> (logits: f32[n, 5]) {
    return image |> backbone |> Dense(5)
}

train classify(label: i64[n]) {
    loss cross_entropy(logits, label)
    metric loud = mean(logits ** 2)
    optimizer AdamW(lr=1e-2)
    FREEZE
}
"""


@pytest.mark.parametrize("freeze", ["freeze backbone eval", "freeze backbone train", ""])
def test_a_frozen_backbone_stays_to_the_bit(freeze: str) -> None:
    """Its weights and running statistics, and with `eval` what a training computes with it, are those before."""
    program = wsdl.compile(Source("m.wsd", BACKBONE.replace("FREEZE", freeze)))
    trainer = program.trainer("classify", batch=8)
    rng = np.random.default_rng(0)
    rows = {"image": rng.normal(1, 2, (8, 3, 16, 16)).astype("f4"), "label": rng.integers(0, 5, 8)}
    before, results = dict(trainer.weights), [trainer.make_step(rows).results for _ in range(3)]
    after = dict(trainer.weights)
    kept = {name for name in before if np.array_equal(before[name], after[name])}
    assert sum("running_mean" in name for name in before) == 11
    frozen = {name for name in before if name.startswith("backbone.")}
    assert kept == (frozen if freeze else kept - frozen)
    assert results[0]["loss"] != results[2]["loss"]
    image = {"image": rows["image"]}
    own = [program.session("features", weights=weights, partial=True)(**image)["y"] for weights in (before, after)]
    assert np.array_equal(own[0], own[1]) == bool(freeze)
    head = [before[f"classify.dense.{name}"] for name in ("weight", "bias")]
    as_compiled = float(np.mean((own[0] @ head[0].T + head[1]) ** 2))
    assert (results[0]["loud"] == pytest.approx(as_compiled, rel=1e-4)) == freeze.endswith("eval")


def test_a_frozen_layer_can_still_be_written() -> None:
    program = wsdl.compile(Source("m.wsd", BACKBONE.replace("FREEZE", "freeze backbone eval")))
    trainer = program.trainer("classify", batch=8)
    rng = np.random.default_rng(0)
    rows = {"image": rng.normal(size=(8, 3, 16, 16)).astype("f4"), "label": rng.integers(0, 5, 8)}
    name = "backbone.stem.layers.1.running_var"
    results = [trainer.evaluate(rows)["loss"]]
    trainer.write({name: trainer.weights[name] * 4})
    results.append(trainer.evaluate(rows)["loss"])
    assert results[0] != results[1] == pytest.approx(trainer.make_step(rows).results["loss"], rel=1e-5)


def test_what_a_frozen_block_would_write_is_kept() -> None:
    text = (
        "block Center()(x: [n, d]) -> [n, d] {\n"
        "    state center: [d] = zeros\n"
        "    update center = mean(x, axis=0)\n"
        "    return x - center\n}\n\n"
        "model m(x: f32[n, 4]) -> (y: f32[n, 2]) {\n    layer c = Center()\n    return x |> c |> Dense(2)\n}\n\n"
        "train m(wanted: f32[n, 2]) {\n    loss mse(y, wanted)\n    optimizer SGD(lr=0.1)\n    FREEZE\n}\n"
    )
    rows = {"x": np.ones((4, 4), "f4"), "wanted": np.zeros((4, 2), "f4")}
    centers = []
    for freeze in ("freeze c", ""):
        trainer = wsdl.compile(Source("m.wsd", text.replace("FREEZE", freeze))).trainer(batch=4)
        trainer.step(rows)
        centers.append(trainer.weights["m.c.center"].tolist())
    assert centers == [[0.0] * 4, [1.0] * 4]

"""The pipelines of training, pass by pass: well-formed after each, and with a contract at the end."""

from __future__ import annotations

from typing import get_args

import pytest

from tests.stages import storage_of
from wsdl.ir.phase import Phase
from wsdl.ir.step import NORM, Forward, Gradient, Next, Number, Part, Port, Shared, Variable, Whole
from wsdl.ir.target import Loops, Target
from wsdl.ops.verify import verify
from wsdl.pipelines import training as pipelines
from wsdl.training.draft import Draft, NewStatistic
from wsdl.training.evaluation import results_of
from wsdl.training.gradients import EntrySide, objective_of
from wsdl.training.update import update_of

STORAGE = storage_of("""
model m(x: f32[n, 5, 8]) -> (y: f32[n, 160]) {
    layer up = Dense(8)
    layer again = Dense(8)
    layer norm = BatchNorm()
    layer gru = GRU(160)
    state seen: [160] = zeros
    share { up, again }
    h = x |> up |> norm |> tanh |> again |> norm |> dropout(0.1)
    for i in 0..6 {
        h = h + tanh(up(h))
    }
    return gru(h)[:, -1]
}

train m(wanted: f32[n, 160]) {
    loss mean((y - mean(y)) ** 2) + mse(y, wanted)
    metric spread = sqrt(mean((wanted - mean(wanted)) ** 2))
    optimizer AdamW(lr=cosine(1e-2), clip_value=1.0, ema=0.9)
    update seen = 0.9 * seen + 0.1 * mean(y, axis=0) * mean(norm.weight) every 2
    update up.bias = clip(up.bias, min=-1, max=1)
    update norm.running_mean = 0.5 * norm.running_mean
}
""")
PIPELINES = {
    "STEP": objective_of,
    "BATCH": objective_of,
    "PART": objective_of,
    "UPDATE": update_of,
    "PIECEWISE_UPDATE": update_of,
    "EVALUATION": results_of,
}
ON_THE_WAY = (NewStatistic, EntrySide)  # ports that are no part of the contract


def walked(name: str, loops: Loops = "auto") -> Draft:
    """What comes of a pipeline, verified after each pass."""
    draft = PIPELINES[name](STORAGE, STORAGE.trainings["m"], Target(loops))
    for run in getattr(pipelines, name):
        run(draft)
        for phase in phases(draft):
            verify(phase.program)
            assert [port.name for port in phase.outputs] == phase.model.output_names, run
            assert len(phase.outputs) == len(phase.graph.outputs), run
    return draft


def phases(draft: Draft) -> list[Phase]:
    return [draft.phase, *(r.phase for r in draft.rounds), *(p.phase for p in draft.pieces)]


def ports(phase: Phase) -> tuple[set[Port], set[Port]]:
    """Those of the inputs and of the outputs."""
    return set(phase.inputs.values()), set(phase.outputs)


@pytest.mark.parametrize("loops", get_args(Loops))
@pytest.mark.parametrize("name", PIPELINES)
def test_each_pass_leaves_a_phase_well_formed(name: str, loops: Loops) -> None:
    draft = walked(name, loops)
    for phase in phases(draft):
        assert not any(isinstance(port, ON_THE_WAY) for port in phase.outputs)
    known = {port.of for phase in phases(draft) for port in phase.outputs if isinstance(port, Next)}
    assert known <= {*draft.changing.all, *draft.optimizer_states, *variables(draft)}


def variables(draft: Draft) -> set[Port]:
    return {port for phase in phases(draft) for port in ports(phase)[0] if isinstance(port, Variable)}


def test_phases_are_connected() -> None:
    """The update takes what gradients give, pieces what the update gives, each phase the wholes of rounds before."""
    of_batch, of_part, update, pieces = (walked(n) for n in ("BATCH", "PART", "UPDATE", "PIECEWISE_UPDATE"))
    for gradients in (of_batch, of_part):
        given = ports(gradients.phase)[1]
        given |= set(gradients.merged_forward)
        assert {p for p in ports(update.phase)[0] if isinstance(p, Gradient | Forward) or p == NORM} <= given
    merged: set[Port] = {merge.wholes[0] for merge in of_part.merges if merge.how == "size"}
    for own in of_part.rounds:
        reads, gives = ports(own.phase)
        assert {port for port in reads if isinstance(port, Whole)} <= merged
        assert gives == {whole.part for merge in own.merges for whole in merge.wholes}
        merged |= {whole for merge in own.merges for whole in merge.wholes}
    reads, gives = ports(of_part.phase)
    assert {port for port in reads if isinstance(port, Whole)} <= merged
    assert {p for p in gives if isinstance(p, Part)} == {w.part for m in of_part.last for w in m.wholes}
    shared = {port for port in ports(pieces.phase)[1] if isinstance(port, Shared)}
    assert pieces.pieces
    assert all({p for p in ports(each.phase)[0] if isinstance(p, Shared)} <= shared for each in pieces.pieces)


def test_what_is_changed_is_changed_once() -> None:
    """By the update or by one piece of it."""
    draft = walked("PIECEWISE_UPDATE")
    whole = [port.of for port in draft.phase.outputs if isinstance(port, Next)]
    cut = [tensor for pieces in draft.pieces for ports in pieces.tensors for tensor in ports.values()]
    variables = [tensor for tensor in cut if isinstance(tensor, Variable)]
    assert sorted(v.name for v in [*whole, *variables]) == sorted(
        port.of.name for port in walked("UPDATE").phase.outputs if isinstance(port, Next)
    )


def test_one_joined_phase_gives_no_gradients() -> None:
    outputs = walked("STEP").phase.outputs
    assert [port.name for port in outputs if isinstance(port, Number)] == [NORM.name]
    assert not any(isinstance(port, Gradient) for port in outputs)

"""Recurrent layers as single operations, in ONNX's layout: a `scan` over a standard cell becomes one of them
(`rewrite/fuse_recurrent`). Programs can't call them.

All have the same operands: `x` [t, n, d] with the steps first, `weight_ih` [1, g * u, d], `weight_hh` [1, g * u, u]
and `bias` [1, 2 * g * u] (of the input, then of the state) for `g` gates in ONNX's order, the states before the first
step [1, n, u], zeros by default, and `lengths` i32[n], numbers of steps: from there on the state after a step is 0, the
last states are those before, and `reverse` begins there. Last states of a sequence without steps are 0. The results are
the state after each step [t, 1, n, u] and the last states [1, n, u]. (The 1 is the number of directions.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from wsdl.ir.dims import Dim
from wsdl.ir.types import TensorType
from wsdl.ops._define import OPERATIONS, Rules
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._traits import Axes

Step = Callable[[NumPy, Array, Array, list[Array]], list[Array]]
GATES: dict[str, Sequence[int]] = {
    "rnn": [0],
    "gru": [1, 0, 2],
    "lstm": [0, 3, 1, 2],
}  # ONNX's, as indices into PyTorch's
MIXED: dict[str, Axes] = {
    "x": [0, 2],
    "weight_ih": slice(None),
    "weight_hh": slice(None),
    "bias": slice(None),
    "h": [2],
    "c": [2],
    "lengths": [],
}
WHY = "the `scan` that it replaces has the gradient"


def _types(x: TensorType, weight_hh: TensorType, states: int) -> tuple[TensorType, ...]:
    steps, batch, _ = x.shape
    units = weight_hh.shape[-1]
    return x.with_shape((steps, 1, batch, units)), *[x.with_shape((1, batch, units))] * states


# -- one step ----------------------------------------------------------------------------------------------------------


def _sigmoid(np: NumPy, x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _rnn_step(np: NumPy, of_x: Array, of_h: Array, states: list[Array]) -> list[Array]:
    return [np.tanh(of_x + of_h)]


def _gru_step(np: NumPy, of_x: Array, of_h: Array, states: list[Array]) -> list[Array]:
    (update_x, reset_x, new_x), (update_h, reset_h, new_h) = (np.split(gates, 3, -1) for gates in (of_x, of_h))
    update, reset = _sigmoid(np, update_x + update_h), _sigmoid(np, reset_x + reset_h)
    new = np.tanh(new_x + reset * new_h)
    return [new + update * (states[0] - new)]


def _lstm_step(np: NumPy, of_x: Array, of_h: Array, states: list[Array]) -> list[Array]:
    into, out, forget, new = np.split(of_x + of_h, 4, -1)
    c = _sigmoid(np, forget) * states[1] + _sigmoid(np, into) * np.tanh(new)
    return [_sigmoid(np, out) * np.tanh(c), c]


# -- the operations ----------------------------------------------------------------------------------------------------


class _Recurrent(Rules):
    """Base of all three. `step` computes the states after a step from the contributions of `x` and of `h` to the gates,
    and the states before."""

    onnx: ClassVar[str]
    step: ClassVar[Step]
    how: ClassVar[Mapping[str, int]] = {}
    reverse: bool = False

    def reference(
        self, np: NumPy, x: Array, weight_ih: Array, weight_hh: Array, bias: Array, *others: Array | None
    ) -> tuple[Array, ...]:
        *states, lengths = others
        zeros = np.zeros((x.shape[1], weight_hh.shape[-1]), x.dtype)
        now = [zeros if state is None else state[0] for state in states]
        of_x, of_h = np.split(bias[0], 2)
        emitted = [np.zeros((0, 1, *zeros.shape), x.dtype)]
        on = np.ones(x.shape[:2], bool) if lengths is None else np.arange(len(x))[:, None] < lengths
        for i in reversed(range(len(x))) if self.reverse else range(len(x)):
            next_ = type(self).step(np, x[i] @ weight_ih[0].T + of_x, now[0] @ weight_hh[0].T + of_h, now)
            now = [np.where(on[i, :, None], *pair) for pair in zip(next_, now, strict=True)]
            emitted.append(np.where(on[i, :, None], next_[0], 0)[None, None])
        if lengths is not None:
            now = [np.where(lengths[:, None] > 0, state, 0) for state in now]
        return np.concatenate(emitted[::-1] if self.reverse else emitted), *(state[None] for state in now)

    def lower(self, e: Emitter, x: Ref, weight_ih: Ref, weight_hh: Ref, bias: Ref, *others: Ref | None) -> list[Ref]:
        """One ONNX node, after a check that there is at least one step: without any, ONNX Runtime 1.32 crashes."""
        *states, lengths = others
        steps, direction = x.type.shape[0], "reverse" if self.reverse else "forward"
        if steps.constant is None:
            x = e.checked(x, "different", steps, Dim.of(0))
        units = weight_hh.type.shape[-1].constant
        inputs = [x, weight_ih, weight_hh, bias, lengths, *states]
        return e.nodes(self.onnx, *inputs, outputs=len(e.results), direction=direction, hidden_size=units, **self.how)

    def macs(self, y: TensorType, x: TensorType, weight_ih: TensorType, weight_hh: TensorType, *_: Any) -> Dim:
        return x.shape[0] * x.shape[1] * (weight_ih.elements + weight_hh.elements)


class _OneState(_Recurrent):
    """Base of cells whose output is their state."""

    def infer(
        self,
        x: TensorType,
        weight_ih: TensorType,
        weight_hh: TensorType,
        bias: TensorType,
        h: TensorType | None = None,
        lengths: TensorType | None = None,
    ) -> tuple[TensorType, ...]:
        return _types(x, weight_hh, 1)


class Rnn(_OneState, name="rnn", internal=True, half="f32", mixes=MIXED, steps_along=None, no_gradient=WHY):
    """`h = tanh(W x + U h + b)` for each step. ONNX RNN."""

    onnx, step = "RNN", _rnn_step


class Gru(_OneState, name="gru", internal=True, half="f32", mixes=MIXED, steps_along=None, no_gradient=WHY):
    """A gated recurrent unit: gates update, reset, new; the reset applies to `U h + b`, as in PyTorch. ONNX GRU."""

    onnx, step, how = "GRU", _gru_step, MappingProxyType({"linear_before_reset": 1})


class Lstm(_Recurrent, name="lstm", internal=True, half="f32", mixes=MIXED, steps_along=None, no_gradient=WHY):
    """A long short-term memory with the gates input, output, forget, new. ONNX LSTM."""

    onnx, step = "LSTM", _lstm_step

    def infer(
        self,
        x: TensorType,
        weight_ih: TensorType,
        weight_hh: TensorType,
        bias: TensorType,
        h: TensorType | None = None,
        c: TensorType | None = None,
        lengths: TensorType | None = None,
    ) -> tuple[TensorType, ...]:
        return _types(x, weight_hh, 2)


OF_CELL = {"RNNCell": OPERATIONS["rnn"], "GRUCell": OPERATIONS["gru"], "LSTMCell": OPERATIONS["lstm"]}

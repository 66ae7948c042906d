"""Products in f16 over which ONNX Runtime ended the process (SIGSEGV) when it loaded them."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAMS = {
    "behind a scan": "param w: [4, 2]\nys = scan xt in x along t {\nemit relu(xt)\n}\nreturn ys @ w",
    "turned": "param w: [4, 2]\nreturn x.permute(1, 0, 2) @ w",
    "last": "param w: [2, 2]\nreturn x[:, :, 0:2].permute(1, 2, 0)[:, :, 0:2] @ w",
    "to the right": "param w: [2, 3]\nreturn w @ x[0:3].permute(1, 0, 2)",
    "a part of a weight": "param w: [5, 4]\nreturn x.permute(1, 0, 2) @ w[1:5, 0:3]",
    "four axes": "param w: [4, 2]\nreturn unsqueeze(x, 2).permute(1, 2, 0, 3) @ w",
}
TRAINED = """\
model m(x: f16[n, t, 4]) -> (y: f16[n, t, 2]) {
    param w: f16[4, 2]
    ys, gs = scan row in x along t {
        scan i in 0..3 with h = where(row > row, row, 0.5 * row), g = ones([n, 3], dtype=f16) {
            h = h
        }
        emit h, g
    }
    return ys @ w
}
train m(wanted: f16[n, t, 2]) {
    loss mse(y, wanted)
    optimizer SGD(lr=0.1)
}
"""
# In a process of its own, which a fault ends.
CHILD = """
import json, sys
import numpy as np, wsdl
from wsdl.diagnostics.span import Source

x = np.random.default_rng(0).normal(size=(3, 2, 4))
for case, body in json.loads(sys.argv[1]).items():
    print(case, flush=True)
    outputs = []
    for dtype, narrow in ("f16", "f2"), ("f32", "f4"):
        text = f"model m(x: f32[n, t, 4]) {{\\n{body}\\n}}\\n"
        program = wsdl.compile(Source("m.wsd", text), dtype=dtype, keep_io=dtype == "f32")
        outputs.append(program.session()(x=x.astype(narrow))["output"].astype("f4"))
    np.testing.assert_allclose(*outputs, rtol=0.02, atol=0.02)
print("a training", flush=True)
trainer = wsdl.compile(Source("m.wsd", sys.argv[2])).trainer("m")
assert np.isfinite(trainer.step({"x": x.astype("f2"), "wanted": np.ones((3, 2, 2), "f2")}))
"""


def test_load_and_give_the_same_as_in_f32() -> None:
    command = [sys.executable, "-c", CHILD, json.dumps(PROGRAMS), TRAINED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, [*PROGRAMS, "a training"], "")

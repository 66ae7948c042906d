"""Weights in several files with an index, as Hugging Face's libraries write large models.

`model.safetensors.index.json` or `pytorch_model.bin.index.json`:

    {"metadata": {…}, "weight_map": {"embed.weight": "model-00001-of-00002.safetensors", …}}
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from wsdl.diagnostics import limits
from wsdl.diagnostics.figures import listed
from wsdl.weights.parts import together
from wsdl.weights.source import Source, broken


def open_shards(path: str | Path, open_file: Callable[[Path], Source]) -> Source:
    """The tensors of all files that an index names, which are in its folder. Raises `WeightsError` unless each is in
    the file that the index says, and in no other."""
    owners = _index(path)
    folder = Path(path).parent
    sources = {file: open_file(_shard(path, folder, file)) for file in dict.fromkeys(owners.values())}
    for file, source in sources.items():
        _require_same(path, file, {name for name, owner in owners.items() if owner == file}, source)
    return together(list(sources.values()), str(path))


def _index(path: str | Path) -> dict[str, str]:
    """The files of tensors, by their names."""
    if os.path.getsize(path) > limits.HEADER:
        raise broken(path, f"the index has more than {limits.HEADER:,} bytes")
    try:
        index = json.loads(Path(path).read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise broken(path, "not an index of weights: it isn't valid JSON") from error
    owners = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(owners, dict) or not owners or not all(isinstance(file, str) for file in owners.values()):
        raise broken(path, "not an index of weights: it has no `weight_map` from names of tensors to files")
    return owners


def _shard(path: str | Path, folder: Path, file: str) -> Path:
    if not file or Path(file).name != file or "\\" in file:
        raise broken(path, f"the index names the file {file!r}, which isn't in its folder")
    if file.endswith(".json"):
        raise broken(path, f"the index names another index, {file!r}")
    if not (folder / file).is_file():
        raise broken(path, f"the file {file} is missing", "all files of the model must be in the folder of the index")
    return folder / file


def _require_same(path: str | Path, file: str, indexed: set[str], source: Source) -> None:
    lacks, more = sorted(indexed - {*source.names}), sorted({*source.tensors} - indexed)
    if lacks or more:
        what = (
            f"lacks `{lacks[0]}`, which the index lists there"
            if lacks
            else f"has `{more[0]}`, which the index doesn't list there"
        )
        help = "index and files are of different models, or a download is incomplete"
        others = [f"and `{name}`" for name in (lacks or more)[1:]]
        raise broken(path, f"{file} {what}", help, listed(others))

"""The documentation site: hooks of MkDocs that make pages of the files of the repository. `make site` builds it."""

from pathlib import Path

ROOT = Path(__file__).parents[1]

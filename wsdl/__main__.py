"""The command `wsdl`; also `python -m wsdl`, if its script is not on the PATH."""

from __future__ import annotations

import sys
from typing import NoReturn

from wsdl import process


def main() -> NoReturn:
    """The entry point of the command. Signals are handled before the command is imported, which takes far longer."""
    process.run(_command)


def _command() -> int:
    from wsdl.cli import execute

    return execute(sys.argv[1:])


if __name__ == "__main__":
    main()

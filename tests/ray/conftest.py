"""Where the tests with Ray run: in a network namespace in which only the loopback is up, which `make ray` makes."""

from __future__ import annotations

import socket
from importlib.util import find_spec

import pytest


def reason() -> str | None:
    """Why tests can't run with Ray here; `None` if they can."""
    if find_spec("ray") is None:
        return "ray is not installed: `make ray` installs it"
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        return "Ray listens on the network: `make ray` runs this in a network namespace"
    return None


@pytest.fixture(scope="session")
def with_ray() -> None:
    """Skips what needs Ray where it can't run."""
    why = reason()
    if why is not None:
        pytest.skip(why)

"""The command line in this process, as the tests of its verbs have it, and in forks of another."""

from collections.abc import Iterator

import pytest

from tests.cli.conftest import wsdl as wsdl
from tests.robustness.forks import Forks


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.close()

"""What all tests have in common."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.golden import Golden

# The same examples at each run, so that a change is judged by what it does; `make fuzz` draws others. No deadlines, as
# a machine may be busy.
settings.register_profile("wsdl", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile("wsdl")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write what the golden tests find as what they expect"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares a text with the one in a file beside the test; `--update-golden` writes the file."""
    return Golden(update=request.config.getoption("--update-golden"))

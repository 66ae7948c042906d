"""The command line in this process, as the tests of its verbs have it."""

from tests.cli.conftest import wsdl as wsdl

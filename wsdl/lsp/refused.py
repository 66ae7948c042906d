"""Requests that can't be fulfilled: an error of the protocol, which editors show to who asked."""

from __future__ import annotations

import logging

from lsprotocol.types import LSPErrorCodes
from pygls.exceptions import JsonRpcException


class Refused(JsonRpcException):
    """The reason, as a sentence to be shown."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, LSPErrorCodes.RequestFailed.value)


def _is_failure(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], Refused))


logging.getLogger("pygls.protocol.json_rpc").addFilter(_is_failure)  # it logs each error with a traceback

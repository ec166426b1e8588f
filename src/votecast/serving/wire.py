"""HTTP as uvicorn reads it, with a bound for what a client may send before there is anything to answer."""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from votecast.serving.answers import error_answer
from votecast.serving.errors import LongHeadError, NoHttpError, RequestError
from votecast.serving.headers import secured

LONGEST_HEAD: Final = 1 << 16
"""Bytes of a first line with its headers; uvicorn would keep any number of them."""


MOST_IN_A_ROW: Final = 100
"""Requests that a client may send ahead of their answers; uvicorn would keep any number of them."""


class Wire(HttpToolsProtocol):
    """One connection: heads that are too long or too many end it, and what is no HTTP is refused as all else is."""

    _unused = 0
    _has_moved = False

    def data_received(self, data: bytes) -> None:
        """Read on; of what comes, bodies alone may be long, since whoever reads them bounds them."""
        self._has_moved = False
        super().data_received(data)
        self._unused = 0 if self._has_moved else self._unused + len(data)
        if self.transport.is_closing():
            return
        if self._unused > LONGEST_HEAD:
            self._refuse(LongHeadError(LONGEST_HEAD))
        elif len(self.pipeline) > MOST_IN_A_ROW:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Begin with the answer."""
        self._has_moved = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass on a part of a body."""
        self._has_moved = True
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Refuse what uvicorn cannot read."""
        del msg
        self._refuse(NoHttpError())

    def _refuse(self, error: RequestError) -> None:
        """Tell an error where no other answer is under way, and end the connection."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            told = error_answer(error)
            head = b"".join(b"%b: %b\r\n" % each for each in secured(told.raw_headers, closing=True))
            self.transport.write(STATUS_LINE[error.status] + head + b"\r\n" + bytes(told.body))
        self.transport.close()

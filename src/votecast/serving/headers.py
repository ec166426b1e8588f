"""Headers that every answer carries, so that a browser treats the service as what it is."""

from __future__ import annotations

from typing import Final

Headers = list[tuple[bytes, bytes]]

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page of this service may load and run: its own files."""

SECURE: Final[Headers] = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
]
NO_STORE: Final = (b"cache-control", b"no-store")
CLOSE: Final = (b"connection", b"close")
_CACHE: Final = b"cache-control"


def secured(headers: Headers, *, closing: bool) -> Headers:
    """Headers of an answer with those that all carry.

    Args:
        headers: Its own; one that says how long it may be kept is believed.
        closing: Whether its connection ends with it.

    Example:
        >>> (b"cache-control", b"no-store") in secured([(b"content-type", b"text/plain")], closing=False)
        True
    """
    found = [*headers, *SECURE]
    if all(name != _CACHE for name, _ in headers):
        found.append(NO_STORE)
    if closing:
        found.append(CLOSE)
    return found

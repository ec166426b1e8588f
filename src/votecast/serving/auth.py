"""Authentication: the API key of a service, and the names it may be called by if it has none.

`server` checks the host at start, the middleware every request.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import os
import re
from pathlib import Path
from typing import Final

from votecast.errors import ConfigError
from votecast.serving.request_errors import RequestError
from votecast.serving.request_limits import Headers

VARIABLE: Final = "VOTECAST_API_KEY"
"""Environment variable that holds the key if no file is named."""

_SHORTEST, _LONGEST = 16, 999  # characters of a key
_KEY: Final = re.compile(r"[\x21-\x7e]+")
_HOST: Final = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(:[0-9]{1,5})?")


def read_key(path: Path | None) -> str | None:
    """Read the API key from a file of one line, else the environment.

    Raises:
        ConfigError: If the file cannot be read, or the key is invalid.
    """
    if path is None:
        if (given := os.environ.get(VARIABLE)) is None:
            return None
        place = f"the variable {VARIABLE}"
    else:
        place = f"--api-key-file {path}"
        try:
            with path.open("rb") as file:
                given = file.read(_LONGEST + 2).decode("utf-8", "replace")
        except OSError as error:
            raise ConfigError(f"{place} cannot be read: {error.strerror}; name a file with the key") from error
    key = given.strip()
    if not key:
        raise ConfigError(f"{place} holds no key; write one into it, such as: openssl rand -hex 32")
    if not _KEY.fullmatch(key) or not _SHORTEST <= len(key) <= _LONGEST:
        raise ConfigError(
            f"{place} holds an invalid key; allowed are {_SHORTEST} to {_LONGEST} printable ASCII characters "
            "without white space, such as: openssl rand -hex 32"
        )
    return key


def check_host(host: str, key: str | None) -> None:
    """Raise a `ConfigError` if other machines reach a service without a key."""
    if key is None and not is_loopback(host):
        raise ConfigError(
            f"--host {host} can be reached from other machines, and no key guards the service; give one by "
            f"--api-key-file FILE or {VARIABLE}, or keep to --host 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Return whether a host can only be reached from this machine.

    Example:
        >>> is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """Checks who may send requests.

    Without a key the service is on loopback, and a page of another site must not reach it through a name that it lets
    point there (DNS rebinding): only names of loopback are answered.
    """

    def __init__(self, key: str | None) -> None:
        self._key = None if key is None else key.encode()
        self._local_hosts: set[bytes] = set()  # checked before; parsing addresses is slow

    def check(self, headers: Headers) -> None:
        """Check the headers of a request.

        Raises:
            RequestError: With status 401 if the key is missing or wrong; 403 if the service has none and was called by
                a foreign name.
        """
        if self._key is None:
            self._check_host([value for name, value in headers if name == b"host"])
            return
        given = [value.strip() for name, value in headers if name == b"authorization"]
        # compare_digest takes as long for any wrong key, so that the time shows nothing of the right one
        if len(given) == 1 and hmac.compare_digest(_credential(given[0]), self._key):
            return
        known = all(value.lower().startswith((b"bearer ", b"basic ")) for value in given)
        what = "the key is missing" if not given else "the key is wrong" if known else "the scheme is unsupported"
        message = f"{what}; send Authorization: Bearer KEY, or Basic with the key as password"
        raise RequestError(message, status=401, type="unauthorized")

    def _check_host(self, hosts: list[bytes]) -> None:
        if len(hosts) == 1 and hosts[0] in self._local_hosts:
            return
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found is None or not is_loopback(found[1].decode("latin-1")):
            message = (
                "this service has no key and was called by a name other than localhost; call it as localhost or "
                "127.0.0.1, or start it with a key"
            )
            raise RequestError(message, status=403, type="host_refused")
        # bounded, since a caller may send any number of ports
        if len(self._local_hosts) < 64:
            self._local_hosts.add(hosts[0])


def _credential(value: bytes) -> bytes:
    """Return the key in an Authorization header; empty if there is none."""
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip()
    try:
        return base64.b64decode(rest.strip(), validate=True).partition(b":")[2] if scheme.lower() == b"basic" else b""
    except (binascii.Error, ValueError):
        return b""

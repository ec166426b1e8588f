"""Who may ask: the key of a service, and the names it may be called by where it has none."""

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
from votecast.serving.errors import HostRefusedError, UnauthorizedError
from votecast.serving.headers import Headers

VARIABLE: Final = "VOTECAST_API_KEY"
"""Environment variable that holds the key where no file is named."""

SHORTEST: Final = 16
"""Characters that a key has at least."""

_LONGEST: Final = 1_000
_KEY: Final = re.compile(r"[\x21-\x7e]+")
_HOST: Final = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(:[0-9]{1,5})?")


def read_key(path: Path | None) -> str | None:
    """The key of a service: from a file, else from the environment, else none.

    Args:
        path: File that holds the key in its one line.

    Raises:
        ConfigError: If the file cannot be read, or what it holds is no key.
    """
    if path is None:
        given = os.environ.get(VARIABLE)
        return None if given is None else _checked(given, f"the variable {VARIABLE}")
    try:
        with path.open("rb") as file:
            held = file.read(_LONGEST + 1)
    except OSError as error:
        raise ConfigError(
            f"--api-key-file {path} cannot be read: {error.strerror}; name a file with the key"
        ) from error
    return _checked(held.decode("utf-8", "replace"), f"--api-key-file {path}")


def check_host(host: str, key: str | None) -> None:
    """Refuse to be reached from other machines without a key.

    Raises:
        ConfigError: If the host is not loopback and there is no key.

    Example:
        >>> check_host("127.0.0.1", None)
    """
    if key is None and not is_loopback(host):
        raise ConfigError(
            f"--host {host} can be reached from other machines, and no key guards the service; give one by "
            f"--api-key-file FILE or {VARIABLE}, or keep to --host 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and no other can reach it.

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


_FORMS: Final = (b"bearer ", b"basic ")


class Guard:
    """Lets requests in.

    Without a key the service is on loopback, and a page of another site must not reach it through a name that it makes
    to point there (DNS rebinding): only names of loopback are answered.

    Args:
        key: The key; None where there is none.
    """

    def __init__(self, key: str | None) -> None:
        self._key = None if key is None else key.encode()
        self._known: set[bytes] = set()

    def check(self, headers: Headers) -> None:
        """Let a request in.

        Raises:
            UnauthorizedError: If there is a key, and the request does not bring it.
            HostRefusedError: If there is none, and the service was called by a foreign name.
        """
        if self._key is None:
            self._check_host(headers)
            return
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) != 1 or not hmac.compare_digest(_credential(given[0]), self._key):
            known = all(value.strip().lower().startswith(_FORMS) for value in given)
            said = (
                "a key is needed"
                if not given
                else "the key is wrong"
                if known
                else "the key comes in no form that is taken"
            )
            raise UnauthorizedError(f"{said}; send Authorization: Bearer KEY, or Basic with the key as password")

    def _check_host(self, headers: Headers) -> None:
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) == 1 and hosts[0] in self._known:
            return
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found is None or not is_loopback(found[1].decode("latin-1")):
            raise HostRefusedError(
                "this service has no key and is called by a name other than localhost; call it as localhost or "
                "127.0.0.1, or start it with a key"
            )
        if len(self._known) < 64:
            self._known.add(hosts[0])


def _credential(value: bytes) -> bytes:
    """The key that an Authorization header brings; nothing where it brings none."""
    scheme, _, rest = value.strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip()
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def _checked(held: str, place: str) -> str:
    key = held.strip()
    if not key:
        raise ConfigError(f"{place} holds no key; write one into it, such as: openssl rand -hex 32")
    if not _KEY.fullmatch(key) or not SHORTEST <= len(key) < _LONGEST:
        raise ConfigError(
            f"{place} holds a key that cannot be used; allowed are {SHORTEST} to {_LONGEST - 1} printable ASCII "
            "characters without white space, such as: openssl rand -hex 32"
        )
    return key

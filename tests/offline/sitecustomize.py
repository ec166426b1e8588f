"""Block network access in every process that tests start."""

import sys

_ASKS_FOR_NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
_THIS_MACHINE = {"127.0.0.1", "::1", "localhost"}
_EVERY_DOOR = {None, "", "0.0.0.0", "::"}  # looked up by servers that listen on all addresses


def _refuse(event: str, args: tuple[object, ...]) -> None:
    """Refuse addresses other than Unix sockets and loopback."""
    if event not in _ASKS_FOR_NETWORK:
        return
    looks_up = event in {"socket.getaddrinfo", "socket.gethostbyname"}
    address = args[0] if looks_up else args[-1]
    if not looks_up and isinstance(address, str | bytes):
        return  # a path
    host = address[0] if isinstance(address, tuple) and address else address
    host = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if host not in (_THIS_MACHINE | _EVERY_DOOR if looks_up else _THIS_MACHINE):
        raise RuntimeError(f"{event}{args[1:]}: tests use no network")


sys.addaudithook(_refuse)

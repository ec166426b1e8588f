"""Python runs this first in every process that the tests start: none of them reaches the network."""

import sys

_ASKS_FOR_NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}


def _refuse(event: str, args: tuple[object, ...]) -> None:
    """Refuse every address but those of the machine's own file system."""
    if event in _ASKS_FOR_NETWORK and not isinstance(args[-1] if event == "socket.connect" else None, str | bytes):
        raise RuntimeError(f"{event}{args[1:]}: tests use no network")


sys.addaudithook(_refuse)

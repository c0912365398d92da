"""DNS failures: whether a host's name is wrong, so that waiting is in vain, or only fails to resolve at present."""

from __future__ import annotations

import socket

_found: set[str] = set()
"""Names that resolved in this process. Some networks, such as Kubernetes, know a name only while it is served."""


def remember_host(name: str) -> None:
    """Note that the name has resolved: from now on it does not count as wrong."""
    _found.add(name)


def is_wrong_host(name: str, error: socket.gaierror | None = None) -> bool:
    """Whether DNS knows no such name, and it has never resolved in this process.

    :param error: why it did not resolve; by default it is looked up.
    """
    if name in _found:
        return False
    error = error or _look_up(name)
    # Not EAI_AGAIN (DNS could not be asked), nor EAI_NODATA (a name without an address at present).
    return error is not None and error.errno == socket.EAI_NONAME


def _look_up(name: str) -> socket.gaierror | None:
    try:
        socket.getaddrinfo(name, None)
    except socket.gaierror as error:
        return error
    except UnicodeError:  # not valid as a host name
        return socket.gaierror(socket.EAI_NONAME, "no host's name")
    return None

"""DNS failures: whether a host's name is wrong, so that waiting is in vain, or only fails to resolve now."""

from __future__ import annotations

import socket

_found: set[str] = set()
"""Names that led somewhere in this process. Some networks, as in Kubernetes, know a name only while it is served."""


def remember_host(name: str) -> None:
    """Note that the name has led somewhere: from now on it is no wrong one."""
    _found.add(name)


def is_wrong_host(name: str, error: socket.gaierror | None = None) -> bool:
    """Whether those who know names know none such, and it has never led anywhere in this process.

    :param error: why it was not found; by default it is looked up.
    """
    if name in _found:
        return False
    error = error or _look_up(name)
    # Not EAI_AGAIN, which says that nobody could be asked, nor EAI_NODATA: a name without an address at the moment.
    return error is not None and error.errno == socket.EAI_NONAME


def _look_up(name: str) -> socket.gaierror | None:
    try:
        socket.getaddrinfo(name, None)
    except socket.gaierror as error:
        return error
    except UnicodeError:  # no name at all
        return socket.gaierror(socket.EAI_NONAME, "no host's name")
    return None

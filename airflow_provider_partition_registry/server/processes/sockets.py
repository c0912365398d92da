"""The service's listening sockets, and how many connections this process may have open."""

from __future__ import annotations

import errno
import resource
import socket

BACKLOG = 2048  # connections that have not been accepted yet


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of this machine that a host name stands for.

    Binding alone is not enough: as long as nobody listens on a port, any number of services can bind to it, and all of
    them would report that they run.

    :param port: 0 for any free port.
    :raises OSError: the port is in use, or there is no such address here.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listening: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in dict.fromkeys((each[0], each[4]) for each in found):
            chosen = listening[0].getsockname()[1] if listening else port
            try:
                # The last two parts of an IPv6 address identify the network.
                at = (address[0], chosen, *address[2:])
                listening.append(socket.create_server(at, family=family, backlog=BACKLOG))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                missing = error
        if missing is not None and not listening:
            raise missing
    except OSError:
        for each in listening:
            each.close()
        raise
    return listening


def raise_descriptor_limit() -> None:
    """Let this process and its children open as many files and connections as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):  # macOS reports "unlimited" but does not accept it
        return

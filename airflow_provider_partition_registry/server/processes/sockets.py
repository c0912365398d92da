"""What the service listens on, and how many connections this process may have open."""

from __future__ import annotations

import errno
import resource
import socket

BACKLOG = 2048  # connections that nobody has taken yet


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on every address that a host name stands for, of those that this machine has.

    Not only bind: as long as nobody listens on a port, any number of services can be bound to it, and all of them would
    say that they run.

    :param port: 0 for any that is free.
    :raises OSError: it is in use, or there is no such address here.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listening: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in dict.fromkeys((each[0], each[4]) for each in found):
            chosen = listening[0].getsockname()[1] if listening else port
            try:
                # The last two parts of an IPv6 address say on which network it is.
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
    """Let this process and those that it starts open as many files and connections as the system allows them to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):  # macOS says "unlimited" and does not mean it
        return

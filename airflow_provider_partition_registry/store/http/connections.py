"""Connections to a web service, each lent to one call at a time.

The pool of httpx closes a connection now and then in the middle of another thread's call (encode/httpcore#1110). So
nothing is shared: every client here has one connection, and one caller.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, LifoQueue
from threading import Lock
from weakref import WeakSet, finalize

import httpx

from airflow_provider_partition_registry import __version__
from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.store.fork_gate import ForkGate

# It writes a line per request, also for those that listeners send all the time.
logging.getLogger("httpx").setLevel(logging.WARNING)

_all_connections: WeakSet[Connections] = WeakSet()
_fork_gate = ForkGate()


class AllBusyError(Exception):
    """No connection has become free in time."""


class Connections:
    """Up to ``limit`` connections to one service. Opened lazily, and anew in a process forked from this one.

    :param url: of the service.
    :param verify: whether, and against which authorities' file, the service's certificate is checked.
    """

    def __init__(self, url: str, *, limit: int, verify: bool | str) -> None:
        self._url = url
        self._limit = limit
        self._verify = verify
        self._guard = Lock()
        self._trust: ssl.SSLContext | None = None
        self._start()
        _all_connections.add(self)

    @contextmanager
    def lend(self, timeout: float) -> Iterator[httpx.Client]:
        """A client for one caller, who must wait for it while as many as allowed are in use.

        :param timeout: seconds to wait at most.
        :raises AllBusyError: none has become free.
        :raises InvalidInputError: the file of authorities cannot be read.
        """
        free = self._free
        try:
            client = free.get(timeout=timeout)
        except Empty:
            raise AllBusyError(f"all {self._limit} connections to it are busy") from None
        try:
            client = client or self._open()
            yield client
        finally:
            free.put(client)

    def close(self) -> None:
        """Close all connections; they are opened again when needed."""
        with self._guard:
            self._hang_up()
            self._start()

    def forget(self) -> None:
        """In a forked child: leave all connections to the parent, and start anew."""
        self._hang_up.detach()
        self._guard = Lock()
        self._trust = None
        self._start()

    def _start(self) -> None:
        self._free: LifoQueue[httpx.Client | None] = LifoQueue()
        for _ in range(self._limit):
            self._free.put(None)
        self._opened: list[httpx.Client] = []
        # Tasks have no good moment to close what their hook has opened.
        self._hang_up = finalize(self, _close, self._opened)

    def _open(self) -> httpx.Client:
        with self._guard, _fork_gate.passing():
            self._trust = self._trust or self._read_trust()
            client = httpx.Client(
                base_url=self._url,
                headers={"User-Agent": f"partition-registry/{__version__}"},
                verify=self._trust,
                limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
                follow_redirects=False,
            )
            self._opened.append(client)
            return client

    def _read_trust(self) -> ssl.SSLContext:
        if isinstance(self._verify, bool):
            return httpx.create_ssl_context(verify=self._verify)
        try:
            return ssl.create_default_context(cafile=self._verify)
        except OSError as error:
            raise InvalidInputError(
                f"The authorities to trust cannot be read from {self._verify!r}: {error}"
            ) from error


def _close(clients: list[httpx.Client]) -> None:
    for client in clients:
        client.close()


def _start_anew() -> None:
    _fork_gate.renew()
    for connections in tuple(_all_connections):
        connections.forget()


os.register_at_fork(before=_fork_gate.shut, after_in_parent=_fork_gate.open, after_in_child=_start_anew)

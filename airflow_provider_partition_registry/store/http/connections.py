"""A pool of connections to a web service: each serves one call at a time, first come, first served."""

from __future__ import annotations

import os
import re
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from urllib.parse import urlsplit
from weakref import WeakSet, finalize, getweakrefs

from urllib3 import HTTPConnectionPool
from urllib3.exceptions import InsecureRequestWarning

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.store.fork_gate import ForkGate
from airflow_provider_partition_registry.store.http.fairness import FairSemaphore
from airflow_provider_partition_registry.store.http.proxies import open_pool

_all_connections: WeakSet[Connections] = WeakSet()
_fork_gate = ForkGate()


class AllBusyError(Exception):
    """No connection became free in time."""


class Connections:
    """Up to ``limit`` connections to one service. Opened lazily, and anew in a process forked from this one.

    :param url: of the service.
    :param verify: whether to check the service's certificate, or the path of a file with the authorities to trust.
    """

    def __init__(self, url: str, *, limit: int, verify: bool | str) -> None:
        self._url = url
        self._service = urlsplit(url)
        self._limit = limit
        self._verify = verify
        self._pool: HTTPConnectionPool | None = None
        self._start()
        _all_connections.add(self)

    @contextmanager
    def lend(self, timeout: float) -> Iterator[HTTPConnectionPool]:
        """Lend a pool that has a connection for one call. Callers wait while ``limit`` calls are under way.

        :param timeout: seconds to wait at most.
        :raises AllBusyError: no connection became free.
        :raises InvalidInputError: the file of authorities cannot be read, or the proxy is of an unknown kind.
        """
        turns = self._turns
        if not turns.acquire(timeout):
            raise AllBusyError(f"all {self._limit} connections to it are busy")
        try:
            yield self._pool or self._open()
        finally:
            turns.release()

    def close(self) -> None:
        """Close all connections; they are opened again when needed. Running calls end as usual."""
        self._pool = None  # urllib3 closes the connections once the last call has let go of the pool.

    def forget(self) -> None:
        """In a forked child: leave all connections to the parent, and start anew."""
        if self._pool is not None:
            _leave_open(self._pool)
        self._pool = None
        self._start()

    def _start(self) -> None:
        self._lock = Lock()
        self._turns = FairSemaphore(self._limit)

    def _open(self) -> HTTPConnectionPool:
        with self._lock, _fork_gate.passing():
            pool = self._pool
            if pool is None:
                trust = self._read_trust() if self._service.scheme == "https" else None
                pool = self._pool = open_pool(self._url, limit=self._limit, trust=trust)
            return pool

    def _read_trust(self) -> ssl.SSLContext:
        try:
            trust = ssl.create_default_context(cafile=self._verify if isinstance(self._verify, str) else None)
        except OSError as error:
            raise InvalidInputError(
                f"The authorities to trust cannot be read from {self._verify!r}: {error}"
            ) from error
        if self._verify is False:
            trust.check_hostname = False
            trust.verify_mode = ssl.CERT_NONE
            # The caller asked for it; a warning with every call would say nothing new.
            host = re.escape(f"'{self._service.hostname}'")
            warnings.filterwarnings("ignore", f".* {host}", InsecureRequestWarning)
        return trust


def _leave_open(pool: HTTPConnectionPool) -> None:
    """Stop the pool from closing its connections, which takes a lock that a thread of the parent may hold for ever."""
    for reference in getweakrefs(pool):
        if isinstance(reference.__callback__, finalize):
            reference.__callback__.detach()


def _start_anew() -> None:
    _fork_gate.renew()
    for connections in tuple(_all_connections):
        connections.forget()


os.register_at_fork(before=_fork_gate.shut, after_in_parent=_fork_gate.open, after_in_child=_start_anew)

"""Ending calls to a server that has stopped answering.

PostgreSQL enforces its own time-outs, but a server that hangs (frozen, or lost behind a network that still
acknowledges) enforces nothing, and the driver would wait for ever. A thread then shuts the connection's socket down,
which ends the wait with an error.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import exc as sqlalchemy_errors

from airflow_provider_partition_registry.domain.errors import StoreUnavailableError

GRACE = 0.5  # seconds: the server's own time-out comes first, as its message says more
IDLE_AFTER = 10.0  # seconds without a call after which the thread ends


class Watchdog:
    """Ends calls of one process to one server that take too long.

    :param limit: seconds that a call may take.
    :param server: how messages name it.
    """

    def __init__(self, limit: float, server: str) -> None:
        self._limit = limit
        self._server = server
        self._deadlines: dict[int, float] = {}  # by file descriptor
        self._cut: set[int] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(self, connection: Any) -> Iterator[None]:
        """End what runs inside if it takes longer than the limit.

        :param connection: that of the driver, which nobody else uses meanwhile.
        :raises StoreUnavailableError: it took longer; the connection cannot be used any more.
        """
        descriptor = connection.fileno()
        with self._lock:
            self._deadlines[descriptor] = time.monotonic() + self._limit + GRACE
            self._ensure_running()
        try:
            yield
        except sqlalchemy_errors.DBAPIError as error:
            if descriptor in self._cut:
                raise StoreUnavailableError(
                    f"The registry in {self._server} has not answered within {self._limit:g} s."
                ) from error
            raise
        finally:
            with self._lock:
                self._deadlines.pop(descriptor, None)
                self._cut.discard(descriptor)

    def _ensure_running(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="partition-registry-watchdog", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        busy_at = time.monotonic()
        while True:
            time.sleep(min(GRACE, self._limit / 4))
            with self._lock:
                now = time.monotonic()
                for descriptor, deadline in self._deadlines.items():
                    if deadline <= now and descriptor not in self._cut:
                        self._cut.add(descriptor)
                        _shut_down(descriptor)
                busy_at = now if self._deadlines else busy_at
                if now - busy_at > IDLE_AFTER:
                    self._thread = None
                    return


def _shut_down(descriptor: int) -> None:
    """Shut down both directions of a socket that the driver still owns."""
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        try:
            copy.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is closed already

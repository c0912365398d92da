"""A gate that lets no fork happen in the middle of certain calls.

SQLite's locks belong to a process, and what a connection remembers of them is wrong in a child. A fork in the middle of
another thread's call could lose changes that are acknowledged afterwards.

Opening a connection to PostgreSQL and preparing for TLS take locks inside libraries (Kerberos, OpenSSL). A child forked
meanwhile would inherit these locks held for ever, and could never connect.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

FORK_TIMEOUT = 30.0  # seconds that a fork waits for calls to end


class ForkGate:
    """Lets calls run while nobody forks, and a fork happen while no call runs."""

    def __init__(self) -> None:
        self.renew()

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Call inside."""
        with self._changed:
            self._changed.wait_for(lambda: not self._forks)
            self._calls += 1
        try:
            yield
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def shut(self) -> None:
        """Before a fork: let no new call begin, and wait until the running ones have ended."""
        with self._changed:
            self._forks += 1
            self._changed.wait_for(lambda: not self._calls, FORK_TIMEOUT)

    def open(self) -> None:
        """After a fork, in the parent: let calls begin again."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()

    def renew(self) -> None:
        """After a fork, in the child: the threads whose calls were running do not exist here."""
        self._changed = threading.Condition()
        self._calls = 0
        self._forks = 0

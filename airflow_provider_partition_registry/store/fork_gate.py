"""A gate that keeps forks apart from what they must not cut in two.

SQLite's locks belong to a process, and what a connection remembers of them is wrong in a child. A fork in the middle of
another thread's call could so lose what was acknowledged afterwards.

Opening a connection to PostgreSQL and making ready for TLS take locks of libraries (Kerberos, OpenSSL). A child born
meanwhile would inherit them locked, and could never connect itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

FORK_TIMEOUT = 30.0  # seconds that a fork waits for calls to end


class ForkGate:
    """Lets calls pass while nobody forks, and a fork while no call runs."""

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
        """Before a fork: let no call begin, and wait until those that run have ended."""
        with self._changed:
            self._forks += 1
            self._changed.wait_for(lambda: not self._calls, FORK_TIMEOUT)

    def open(self) -> None:
        """After a fork, in the parent."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()

    def renew(self) -> None:
        """After a fork, in the child: whoever passed is not there any more."""
        self._changed = threading.Condition()
        self._calls = 0
        self._forks = 0

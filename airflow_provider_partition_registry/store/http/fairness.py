"""A fair semaphore: first come, first served."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from threading import Lock


class FairSemaphore:
    """Admits a limited number at a time, in the order in which they came (FIFO).

    The standard library's semaphores and queues wake whoever waits longest, but a newcomer may overtake it before it
    runs. Threads that come again at once so cause starvation: of 16 threads on 8 connections, 8 waited until the others
    were done.
    done.

    :param limit: how many are admitted at a time.
    """

    def __init__(self, limit: int) -> None:
        self._lock = Lock()
        self._free = limit
        self._waiting: deque[Future[None]] = deque()

    def acquire(self, timeout: float) -> bool:
        """Wait for admission.

        :param timeout: seconds to wait at most.
        :return: whether the caller was admitted; if so it must call :meth:`release` in the end.
        """
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            admission: Future[None] = Future()
            self._waiting.append(admission)
        try:
            admission.result(timeout)
        except TimeoutError:
            return not admission.cancel()  # cancelling fails if it was admitted just now
        return True

    def release(self) -> None:
        """Pass the admission on to whoever waits longest."""
        with self._lock:
            while self._waiting:
                admission = self._waiting.popleft()
                if admission.set_running_or_notify_cancel():
                    admission.set_result(None)
                    return
            self._free += 1

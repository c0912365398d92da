"""How the processes of a soak are told to end: by SIGTERM."""

from __future__ import annotations

import signal
import threading


def when_told_to_end() -> threading.Event:
    """An event that is set then."""
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: told.set())
    return told

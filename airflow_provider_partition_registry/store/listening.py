"""Subscribing to change notifications in a thread, with exponential back-off and jitter while the store is down."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable

from airflow_provider_partition_registry.domain.errors import (
    HostNotFoundError,
    RegistryError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.store.contract import RegistryReader

LISTENING_SLICE = 2.0  # seconds: a thread cannot be cancelled, so it looks up from listening this often
LONGEST_BACK_OFF = 60.0


def start_listening(
    reader: RegistryReader, stop: threading.Event, hear: Callable[[frozenset[str]], object]
) -> None:
    """Until ``stop``: let a thread call ``hear`` with the names of sources that have news.

    :param hear: no names at all mean that news may have been lost. A RuntimeError of its, such as that of an event loop
        that is closed, ends it all.
    """
    # A daemon: it looks up from listening every now and then only, and no process waits for that at its end.
    threading.Thread(
        target=_listen, args=(reader, stop, hear), name="partition-registry-listener", daemon=True
    ).start()


def back_off(failures: int) -> float:
    """Seconds to wait after so many failures in a row; random, so that a crowd does not return as one."""
    return min(2.0 ** (failures - 1), LONGEST_BACK_OFF) * random.uniform(0.5, 1.0)  # noqa: S311


def _listen(reader: RegistryReader, stop: threading.Event, hear: Callable[[frozenset[str]], object]) -> None:
    failures = 0
    while not stop.is_set():
        try:
            listener = reader.open_listener()
            if listener is None:
                return
            with contextlib.closing(listener):
                failures = 0
                hear(frozenset())
                while not stop.is_set():
                    if heard := listener.wait(LISTENING_SLICE):
                        hear(heard)
        except (StoreUnavailableError, HostNotFoundError):
            failures += 1
            stop.wait(back_off(failures))
        except RegistryError:  # It can be read but not listened to; asking now and then is left.
            return
        except RuntimeError:  # nobody is left to hear anything
            return

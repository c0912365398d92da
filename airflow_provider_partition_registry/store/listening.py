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

LISTENING_SLICE = 2.0  # seconds: a thread cannot be cancelled, so it checks this often whether to stop
LONGEST_BACK_OFF = 60.0


def start_listening(
    reader: RegistryReader,
    stop: threading.Event,
    hear: Callable[[frozenset[str]], object],
    tell_whether_complete: Callable[[bool], object] = lambda _is_complete: None,
) -> None:
    """Start a thread that calls ``hear`` with the names of changed sources, until ``stop`` is set.

    :param hear: an empty set means that it is not known which sources changed, or that notifications may have been
        lost. If it raises a RuntimeError, as with an event loop that is closed, the thread ends.
    :param tell_whether_complete: called with whether every change, whoever makes it, is notified from now on.
    """
    # A daemon thread: it checks only now and then whether to stop, and no process has to wait for that at its end.
    threading.Thread(
        target=_listen,
        args=(reader, stop, hear, tell_whether_complete),
        name="partition-registry-listener",
        daemon=True,
    ).start()


def back_off(failures: int) -> float:
    """Seconds to wait after so many failures in a row; jittered, so that many clients do not return at once."""
    return min(2.0 ** (failures - 1), LONGEST_BACK_OFF) * random.uniform(0.5, 1.0)  # noqa: S311


def _listen(
    reader: RegistryReader,
    stop: threading.Event,
    hear: Callable[[frozenset[str]], object],
    tell_whether_complete: Callable[[bool], object],
) -> None:
    try:
        _listen_until(stop, reader, hear, tell_whether_complete)
    except RuntimeError:  # nobody is left to notify
        return
    finally:
        with contextlib.suppress(RuntimeError):
            tell_whether_complete(False)


def _listen_until(
    stop: threading.Event,
    reader: RegistryReader,
    hear: Callable[[frozenset[str]], object],
    tell_whether_complete: Callable[[bool], object],
) -> None:
    failures = 0
    while not stop.is_set():
        try:
            listener = reader.open_listener()
            if listener is None:
                return
            with contextlib.closing(listener):
                failures = 0
                tell_whether_complete(listener.hears_everybody)
                hear(frozenset())
                while not stop.is_set():
                    if (heard := listener.wait(LISTENING_SLICE)) is not None:
                        hear(heard)
        except (StoreUnavailableError, HostNotFoundError):
            failures += 1
        except RegistryError:  # The store can be read but not subscribed to; polling remains.
            return
        if failures:
            tell_whether_complete(False)
            stop.wait(back_off(failures))

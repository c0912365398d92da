"""Notifications of changes to a source, so that a run that waits for its lock asks at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from airflow_provider_partition_registry.cli.job.inbox import Inbox, NewsHeard
from airflow_provider_partition_registry.store.contract import RegistryReader
from airflow_provider_partition_registry.store.listening import start_listening

SHORTEST_PAUSE = 0.2  # seconds between two notifications, which come in bursts from a busy source


@contextlib.contextmanager
def news_of(source_name: str, store: RegistryReader, inbox: Inbox) -> Iterator[None]:
    """While the context is entered, pass notifications about a source on to ``inbox``, if the registry sends any."""
    stop = threading.Event()

    def hear(source_names: frozenset[str]) -> None:
        if source_name in source_names or not source_names:
            inbox.put(NewsHeard())
            stop.wait(SHORTEST_PAUSE)

    start_listening(store, stop, hear)
    try:
        yield
    finally:
        stop.set()

"""Hearing that the source has news while a run waits for somebody else's lock: then it asks at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from airflow_provider_partition_registry.cli.job.inbox import Inbox, NewsHeard
from airflow_provider_partition_registry.store.contract import RegistryReader
from airflow_provider_partition_registry.store.listening import start_listening

SHORTEST_PAUSE = 0.2  # seconds between two pieces of news: of a busy source they come in bursts


@contextlib.contextmanager
def news_of(source_name: str, store: RegistryReader, inbox: Inbox) -> Iterator[None]:
    """Meanwhile tell ``inbox`` of news of a source, where the registry tells of them."""
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

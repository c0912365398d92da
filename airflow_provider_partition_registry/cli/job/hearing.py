"""Hearing that the source has news while a run waits for somebody else's lock: then it asks at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from airflow_provider_partition_registry.cli.job.events import Events, NewsHeard
from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.store.base import RegistryReader

LISTENING_SLICE = 2.0  # seconds after which the thread looks up whether it is still wanted
SHORTEST_PAUSE = 0.2  # seconds between two pieces of news: of a busy source they come in bursts


@contextlib.contextmanager
def news_of(source_name: str, store: RegistryReader, events: Events) -> Iterator[None]:
    """Meanwhile tell ``events`` of news of a source, where the registry tells of them."""
    stop = threading.Event()
    # A daemon: nobody waits for the end of its slice.
    threading.Thread(
        target=_listen, args=(source_name, store, events, stop), daemon=True, name="news"
    ).start()
    try:
        yield
    finally:
        stop.set()


def _listen(source_name: str, store: RegistryReader, events: Events, stop: threading.Event) -> None:
    with contextlib.suppress(RegistryError):  # Who hears nothing any more still asks every few seconds.
        listener = store.open_listener()
        if listener is None:
            return
        with contextlib.closing(listener):
            while not stop.is_set():
                if source_name in listener.wait(LISTENING_SLICE):
                    events.put(NewsHeard())
                    stop.wait(SHORTEST_PAUSE)

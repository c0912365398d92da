"""Pruning the history once a day, by one of the processes that serve a registry."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from airflow_provider_partition_registry.domain.intervals import format_to_the_second
from airflow_provider_partition_registry.server.observing.metrics import (
    PRUNED_EVENTS,
    PRUNED_PARTITIONS,
    count_store_error,
)
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store import maintenance
from airflow_provider_partition_registry.store.maintenance import Pruned

log = logging.getLogger(__name__)

EVERY = timedelta(days=1)
TRIED_EVERY = 600.0  # seconds


class Pruner:
    """A thread that removes what is older than the settings say, when it is this process's turn.

    :param settings: of the service; if they keep the whole history there is no thread.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._url, self._keep = settings.database_url, settings.keep_history
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to take turns with the other processes."""
        if self._keep is not None:
            threading.Thread(target=self._run, args=(self._keep,), name="pruner", daemon=True).start()

    def stop(self) -> None:
        """End after the portion that is being removed, without waiting for it."""
        self._stopping.set()

    def _run(self, keep: timedelta) -> None:
        while not self._stopping.is_set():
            try:
                self._prune(keep)
            except Exception as error:
                count_store_error(error)
                log.warning("The history cannot be pruned, trying again later: %s", error)
            self._stopping.wait(TRIED_EVERY)

    def _prune(self, keep: timedelta) -> None:
        before: Pruned | None = None
        for so_far in maintenance.prune_in_turn(self._url, keep, every=EVERY):
            PRUNED_EVENTS.inc(so_far.event_count - (before.event_count if before else 0))
            PRUNED_PARTITIONS.inc(so_far.partition_count - (before.partition_count if before else 0))
            before = so_far
            if self._stopping.is_set():
                break
        if before is not None:
            log.info(
                "Pruned %s events and %s partitions from before %s.",
                *(before.event_count, before.partition_count, format_to_the_second(before.before)),
            )

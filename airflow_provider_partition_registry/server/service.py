"""What all requests of a worker process share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from airflow_provider_partition_registry.domain.questions import Answer, Question
from airflow_provider_partition_registry.server.access.permissions import Access
from airflow_provider_partition_registry.server.observing import metrics
from airflow_provider_partition_registry.server.observing.metrics import LockCounter
from airflow_provider_partition_registry.server.pruning import Pruner
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.server.waiting.bulkheads import HealthCheck, WriterBulkhead
from airflow_provider_partition_registry.server.waiting.feed import Feed
from airflow_provider_partition_registry.server.waiting.long_polling import NOTIFIED_INTERVAL, LongPolls
from airflow_provider_partition_registry.store.contract import RegistryDatabase, RegistryReader
from airflow_provider_partition_registry.store.factory import open_database, open_store
from airflow_provider_partition_registry.store.poller import Poller

# A poller asks in one thread and listens in another.
POLLER_CONNECTIONS = 2
HEALTH_TIMEOUT = 2.0  # seconds; health checks give up after a few


class Service:
    """The registry as one worker process serves it.

    :param settings: those of the service.
    :param store: used in place of the one that the settings name.
    """

    def __init__(self, settings: ServiceSettings, store: RegistryDatabase | None = None) -> None:
        self.settings = settings
        self.store = store or open_database(
            settings.database_url,
            pool_size=settings.connections,
            writing_pool_size=settings.connections,
            standby_url=settings.standby_url,
            tell=metrics.count_aged_answer,
        )
        self._store_for_health = open_store(settings.database_url, timeout=HEALTH_TIMEOUT)
        self.access = Access(self.store, settings)
        self.poller = Poller(
            lambda: open_store(settings.database_url, pool_size=POLLER_CONNECTIONS),
            explains=False,
            notified_interval=NOTIFIED_INTERVAL,
        )
        self.feed = Feed(self.store)
        self.long_polls = LongPolls()
        self.lock_counter = LockCounter(self.store)
        self.health = HealthCheck(self._store_for_health.ping)
        self.writers = WriterBulkhead(settings.connections)
        self.pruner = Pruner(settings)

    @staticmethod
    def answer(question: Question, reader: RegistryReader) -> Answer:
        """Ask one question, and count it."""
        metrics.QUESTIONS.inc()
        (answer,) = metrics.counted(reader.check_readiness_many([question]))
        return answer

    def close(self) -> None:
        """Close all connections to the database."""
        self.pruner.stop()
        self._store_for_health.close()
        self.store.close()

    @staticmethod
    async def of_request(request: Request) -> Service:
        """The service that a request came to."""
        return request.app.state.service  # type: ignore[no-any-return]


InService = Annotated[Service, Depends(Service.of_request)]

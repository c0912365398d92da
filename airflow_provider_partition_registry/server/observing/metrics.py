"""Metrics for Prometheus: requests, questions, waiting requests, locks, and errors of the store.

With several worker processes, each writes into files in a folder that ``partition-registry serve`` makes, and the one
that is asked adds them up. No label contains a name from the registry, as there may be any number of those.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.domain.models import LockCounts
from airflow_provider_partition_registry.domain.questions import Answer, Readiness
from airflow_provider_partition_registry.store.contract import RegistryReader

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable, read when prometheus-client is imported, that says where worker processes write."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "(none)"
disable_created_metrics()  # they would double the number of series, and nobody looks at them

LOCKS_ARE_FRESH = 5.0  # seconds for which the counts are kept, so that many scrapes cost the store no more
LOCKS_TAKE_AT_MOST = 1.0  # seconds: the other metrics must not wait for a store in trouble

REQUESTS = Counter(
    "partition_registry_requests", "Requests answered.", ["method", "route", "status"], registry=None
)
REQUEST_DURATION = Histogram(
    "partition_registry_request_duration_seconds",
    "How long requests took, except those that waited for something to happen.",
    ["method", "route"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
    registry=None,
)
QUESTIONS = Counter("partition_registry_readiness_questions", "Readiness questions asked.", registry=None)
ANSWERS = Counter(
    "partition_registry_readiness_answers",
    "Readiness questions answered: ready, not_ready, unknown_source.",
    ["answer"],
    registry=None,
)
WAITING_CLIENTS = Gauge(
    "partition_registry_waiting_clients",
    "Requests that wait now: for readiness, for events, or on a stream of events.",
    ["kind"],
    registry=None,
    multiprocess_mode="livesum",
)
AGED_ANSWERS = Counter(
    "partition_registry_aged_answers",
    "Answers to who accepts older ones, by who gave them: the standby, or the primary in its place.",
    ["answered_by"],
    registry=None,
)
STORE_ERRORS = Counter(
    "partition_registry_store_errors",
    "Calls that the store did not answer as it should, by the code of the error.",
    ["code"],
    registry=None,
)
PRUNED_EVENTS = Counter(
    "partition_registry_pruned_events", "Events removed from the history as they were old.", registry=None
)
PRUNED_PARTITIONS = Counter(
    "partition_registry_pruned_partitions", "Superseded partitions removed with their history.", registry=None
)
_ALL: tuple[Collector, ...] = (
    *(REQUESTS, REQUEST_DURATION, QUESTIONS),
    *(ANSWERS, WAITING_CLIENTS, AGED_ANSWERS, STORE_ERRORS),
    *(PRUNED_EVENTS, PRUNED_PARTITIONS),
)


def count_request(method: str, route: str | None, status: int, seconds: float | None) -> None:
    """Count a request.

    :param route: the template of its path; None if no route matched.
    :param seconds: how long it took; None if it waited for something to happen.
    """
    labels = (method if method in METHODS else "(other)", route or NO_ROUTE)
    REQUESTS.labels(*labels, status).inc()
    if seconds is not None:
        REQUEST_DURATION.labels(*labels).observe(seconds)


def counted(answers: list[Answer]) -> list[Answer]:
    """Count the answers to readiness questions, and return them."""
    for each in answers:
        ANSWERS.labels(_kind_of(each)).inc()
    return answers


def count_aged_answer(answered_by: str) -> None:
    """Count an answer that the standby was allowed to give."""
    AGED_ANSWERS.labels(answered_by).inc()


def count_store_error(error: Exception) -> None:
    """Count an error of the store."""
    STORE_ERRORS.labels(error.code if isinstance(error, RegistryError) else "bug").inc()


class LockCounter:
    """Counts the registry's locks when metrics are read, but not too often.

    :param store: used from threads.
    """

    def __init__(self, store: RegistryReader) -> None:
        self._store = store
        self._counting: asyncio.Future[LockCounts] | None = None
        self._due_at = 0.0

    async def latest(self) -> LockCounts | None:
        """The counts, or None if the store does not give them in time."""
        now = asyncio.get_running_loop().time()
        if self._counting is None or (self._counting.done() and now >= self._due_at):
            self._counting = asyncio.ensure_future(asyncio.to_thread(self._store.count_locks))
            self._due_at = now + LOCKS_ARE_FRESH
        try:
            return await asyncio.wait_for(asyncio.shield(self._counting), LOCKS_TAKE_AT_MOST)
        except TimeoutError:
            return None
        except RegistryError as error:
            count_store_error(error)
            return None


def exposition(locks: LockCounts | None) -> bytes:
    """All metrics as text, including those of the other worker processes."""
    registry = CollectorRegistry()
    folder = os.environ.get(FOLDER)
    if folder:
        _forget_the_dead(Path(folder))
        MultiProcessCollector(registry, path=folder)
    else:
        for each in (*_ALL, ProcessCollector(registry=None)):
            registry.register(each)
    if locks is not None:
        registry.register(_Locks(locks))
    return generate_latest(registry)


class _Locks(Collector):
    def __init__(self, counts: LockCounts) -> None:
        self._counts = counts

    def collect(self) -> Sequence[Metric]:
        family = GaugeMetricFamily(
            "partition_registry_locks", "Locks now: held, or expired and left behind.", labels=["state"]
        )
        family.add_metric(["held"], self._counts.held)
        family.add_metric(["expired"], self._counts.expired)
        return [family]


def _kind_of(answer: Answer) -> str:
    if not isinstance(answer, Readiness):
        return "unknown_source"
    return "ready" if answer.is_ready else "not_ready"


def _forget_the_dead(folder: Path) -> None:
    """Remove the waiting requests of workers that were killed."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not _is_alive(int(pid)):
            with contextlib.suppress(FileNotFoundError):  # another worker has removed it already
                mark_process_dead(pid, str(folder))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

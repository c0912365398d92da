"""How soon a wait ends: from an unlock here to the event of a trigger in another process."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from airflow_provider_partition_registry.domain.intervals import Interval, format_instant
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from airflow_provider_partition_registry.triggers.partition_registry import PartitionReadinessTrigger
from benchmarks.data import PROVIDER, Series
from benchmarks.report import Figure

WAITED_FOR = Series("waited-for", 0)


def figures(store: SqlRegistryStore, url: str, repeats: int) -> Iterator[Figure]:
    """The figure about waiting, in a registry with the source."""
    delays = sorted(delay(store, url, number) for number in range(-2, repeats))
    what = "unlock committed to the event of a trigger in another process"
    yield Figure(what, max(0.0, median(delays)), repeats, at_most=25)


def delay(store: RegistryStore, url: str, number: int) -> float:
    """Milliseconds from the end of an unlock here until the other process is notified."""
    interval = WAITED_FOR.interval(number + 2)
    lock = store.lock(PartitionKey(WAITED_FOR.source_name, PROVIDER, interval), register=True)
    with _waiter(url, number + 2) as lines:
        assert next(lines) == "waiting\n"
        time.sleep(random.uniform(0.3, 0.5))  # so that it does not coincide with one of its polls
        store.unlock(PartitionKey(WAITED_FOR.source_name, PROVIDER, interval), generation=lock.generation)
        unlocked_at = time.time()
        return (float(next(lines)) - unlocked_at) * 1000


@contextmanager
def _waiter(url: str, number: int) -> Iterator[Iterator[str]]:
    command = [sys.executable, "-m", "benchmarks.waiting", url, str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield iter(process.stdout)


class _Teller(logging.Handler):
    """Reports when the trigger has asked, which is when it logs what is missing."""

    def emit(self, record: logging.LogRecord) -> None:
        if "Not ready" in record.getMessage():
            print("waiting", flush=True)


async def _wait_and_tell(url: str, number: int) -> None:
    _connect(url)
    log = logging.getLogger("trigger")
    log.setLevel(logging.INFO)
    log.addHandler(_Teller())
    log.propagate = False  # Airflow prints log lines to standard output, where the answers go
    PartitionReadinessTrigger.log = log  # type: ignore[assignment]
    trigger = _trigger(WAITED_FOR.interval(number), poll_interval=60)
    async for _event in trigger.run():
        print(time.time(), flush=True)


def _connect(url: str) -> None:
    """The settings that Airflow's connection would have."""
    connection = json.dumps({"conn_type": "partition_registry", "host": url})
    os.environ[f"AIRFLOW_CONN_{DEFAULT_CONN_ID.upper()}"] = connection


def _trigger(interval: Interval, poll_interval: float) -> PartitionReadinessTrigger:
    return PartitionReadinessTrigger(
        partition_registry_conn_id=DEFAULT_CONN_ID,
        source_name=WAITED_FOR.source_name,
        start=format_instant(interval.start),
        end=format_instant(interval.end),
        poll_interval=poll_interval,
    )


if __name__ == "__main__":
    asyncio.run(_wait_and_tell(sys.argv[1], int(sys.argv[2])))

"""What a service survives: a restart, and ``kill -9`` of itself and of its database while somebody writes."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.store.factory import open_store
from testbed.containers.report import Report
from testbed.containers.stack import (
    SERVICE,
    container,
    get,
    inspect,
    kill,
    read_log,
    said,
    stack,
    wait_for_answer,
    wait_for_health,
)
from testbed.processes import wait_until

REGISTRY, POSTGRES = container("registry"), container("postgres")
FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Writer:
    """Publishes one day after another, and remembers which of them were acknowledged."""

    def __init__(self, access_token: str) -> None:
        self.acknowledged: list[PartitionKey] = []
        self._access_token = access_token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer")
        self._thread.start()

    def finish(self) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for_more(self) -> None:
        """Wait until it has published something more."""
        so_far = len(self.acknowledged)
        wait_until(lambda: len(self.acknowledged) > so_far + 1, what="the writer to go on", timeout=120)

    def _write(self) -> None:
        day = 0
        with open_store(SERVICE, access_token=self._access_token) as store:
            while not self._stop.is_set():
                start = FIRST_DAY + day * DAY
                key = PartitionKey("shop.sales", "nightly-load", Interval(start, start + DAY))
                day += 1
                try:
                    store.register_partition(key)
                    store.lock(key)
                    store.unlock(key)
                except RegistryError:
                    self._stop.wait(0.2)  # writes that were not acknowledged are not counted
                else:
                    self.acknowledged.append(key)


def check(report: Report) -> None:
    """Bring it up, let somebody write, and break it."""
    with stack() as running:
        running.up("registry")
        wait_for_health(REGISTRY)
        with open_store(SERVICE) as store:
            token = store.register_source("shop.sales", "sales-team@example.com").access_token
            provider = store.register_provider("nightly-load", token)
        assert provider.access_token is not None
        writer = Writer(provider.access_token)
        try:
            writer.wait_for_more()
            running.require("restart", "registry")
            report.check(
                "restarted, it serves again", True, f"{wait_for_answer(f'{SERVICE}/readyz'):.1f} s later"
            )
            writer.wait_for_more()
            check_killed_service(report)
            writer.wait_for_more()
            check_killed_database(report)
            writer.wait_for_more()
        finally:
            writer.finish()
        with open_store(SERVICE) as store:
            lost = [
                key
                for key in writer.acknowledged
                if store.get_partition(key).state is not PartitionState.READY
            ]
        report.check(
            "nothing acknowledged is lost", not lost, f"{len(writer.acknowledged)} publications, lost: {lost}"
        )
        done = running.run("registry", "db", "verify")
        report.check("the database is consistent", done.returncode == 0, said(done))


def check_killed_service(report: Report) -> None:
    """The engine restarts the service."""
    kill(REGISTRY)
    wait_until(lambda: get(f"{SERVICE}/healthz")[0] == 0, what="the end", timeout=30, interval=0.05)
    seconds = wait_for_answer(f"{SERVICE}/readyz")
    report.check("killed, the service comes back by itself", True, f"ready {seconds:.1f} s later")


def check_killed_database(report: Report) -> None:
    """The service says why it refuses calls, and works again when the database is back."""
    pid = inspect(REGISTRY)["State"]["Pid"]
    kill(POSTGRES)
    wait_for_answer(f"{SERVICE}/readyz", 503)
    status, text = get(f"{SERVICE}/api/v1/sources")
    report.check("without PostgreSQL it answers 503 with a reason", status == 503 and "error" in text, text)
    seconds = wait_for_answer(f"{SERVICE}/readyz")
    report.check("with PostgreSQL back it serves again", True, f"{seconds:.1f} s later")
    report.check("all that in the same process", inspect(REGISTRY)["State"]["Pid"] == pid)
    report.check("its log holds no traceback", "Traceback" not in read_log(REGISTRY))

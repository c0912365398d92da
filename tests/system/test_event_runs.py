"""Runs that are started by what is published elsewhere: each day once, whatever becomes of the triggerer meanwhile.

``make events`` publishes a thousand days.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from demo.options import ENVIRONMENTS
from testbed.airflow import AirflowInstance
from testbed.airflow_settings import component_commands
from testbed.http_json import request_json
from testbed.processes import stop_together, wait_until
from tests.documents import DOCS, blocks

pytestmark = [pytest.mark.system, pytest.mark.timeout(7200)]

FIRST_DAY = datetime(2022, 1, 1, tzinfo=UTC)
PATIENCE = 400.0
BETWEEN_ACCIDENTS = 15  # publications
PAUSE = 0.2  # seconds between two publications


def day(number: int) -> Interval:
    start = FIRST_DAY + timedelta(days=number)
    return Interval(start, start + timedelta(days=1))


def key_of(number: int) -> str:
    return f"{day(number).start:%Y-%m-%d}"


def publish(registry: RegistryStore, number: int) -> None:
    key = PartitionKey("system.events", "day-loader", day(number))
    registry.unlock(key, generation=registry.lock(key, register=True).generation)


class Reader:
    """The instance that reads."""

    def __init__(self, instance: AirflowInstance) -> None:
        self.instance = instance
        self.api = instance.api
        self.is_paused = False

    def begin(self) -> None:
        """Let the DAG follow the source from now on."""
        self.api.wait_until_parsed("event_runs", PATIENCE)
        self.api.unpause("event_runs")
        self.edit_dags()  # Airflow begins to watch when it reads the file of a DAG that is not paused
        wait_until(self._has_cursor, what="the source to be followed", timeout=PATIENCE)

    def runs(self, dag_id: str) -> Counter[str]:
        """How often each day was run."""
        return Counter(
            each["partition_key"] for each in self.api._all_pages(f"/dags/{dag_id}/dagRuns", "dag_runs")
        )

    def wait_for_publications(self, expected: Counter[str]) -> None:
        """Wait until each publication has started a run; two of a day start one if none of it had begun before."""
        wait_until(
            lambda: self._started().total() >= expected.total(),
            what=f"{expected.total()} publications to start runs",
            timeout=PATIENCE + expected.total(),
            interval=1,
            detail=lambda: f"missing: {expected - self._started()}",
        )
        time.sleep(5)  # and no more
        found = self._started()
        assert (found - expected, expected - found) == (Counter(), Counter())
        assert self.runs("event_runs").keys() == expected.keys()

    def _started(self) -> Counter[str]:
        """How many events of each day there are that have started their run."""
        (asset,) = self.api.call("GET", "/assets?name_pattern=system.events")["assets"]
        found: Counter[str] = Counter()
        versions = set()
        for event in self.api._all_pages(
            f"/assets/events?asset_id={asset['id']}&order_by=timestamp", "asset_events"
        ):
            if event["partition_key"] is not None:
                versions.add(event["extra"]["version"])
                assert len(event["created_dagruns"]) <= 1
                found[event["partition_key"]] += len(event["created_dagruns"])
        assert len(versions) >= found.total()
        return found

    def wait_for_runs(self, dag_id: str, expected: Counter[str]) -> None:
        """Wait until there are as many runs as expected; they must be exactly those."""
        wait_until(
            lambda: self.runs(dag_id).total() >= expected.total(),
            what=f"{expected.total()} runs",
            timeout=PATIENCE + expected.total(),
            interval=1,
            detail=lambda: f"missing: {expected - self.runs(dag_id)}",
        )
        time.sleep(5)  # and no more
        found = self.runs(dag_id)
        assert (found - expected, expected - found) == (Counter(), Counter())

    def kill_triggerer(self) -> None:
        self.instance.kill("triggerer")
        self.instance.restart("triggerer")

    def restart_triggerer(self) -> None:
        self.instance.restart("triggerer")

    def edit_dags(self) -> None:
        for file in self.instance.dags_folder.glob("event_runs.py"):
            file.write_text(f"{file.read_text()}\n# edited\n")

    def pause_or_unpause(self) -> None:
        """Airflow follows nothing while the only DAG is paused, and goes on afterwards."""
        self.is_paused = not self.is_paused
        (self.api.pause if self.is_paused else self.api.unpause)("event_runs")
        self.edit_dags()  # as these instances read files again only after an hour, or when they have changed

    def run_two_triggerers(self) -> None:
        """Start a second one, and kill the first."""
        second = self.instance._child(
            "second-triggerer", component_commands(self.instance.version)["triggerer"]
        )
        second.start()
        try:
            time.sleep(15)
            self.instance.kill("triggerer")
            time.sleep(5)
            self.instance.restart("triggerer")
        finally:
            stop_together([second])

    def _has_cursor(self) -> bool:
        found = self.api.call("GET", "/assets?name_pattern=system.events")["assets"]
        return bool(
            found and self.api.call("GET", f"/assets/{found[0]['id']}/state-store")["asset_state_store"]
        )


@pytest.fixture(scope="module")
def reader(instances: Mapping[int, AirflowInstance]) -> Iterator[Reader]:
    reading = Reader(instances[3])
    reading.begin()
    yield reading
    reading.api.pause("event_runs")


def test_each_day_is_run_once_through_restarts_and_kills(
    reader: Reader, registry: RegistryStore, request: pytest.FixtureRequest
) -> None:
    publications = request.config.getoption("--publications")
    accidents: Iterator[Callable[[], None]] = itertools.cycle(
        [
            reader.kill_triggerer,
            reader.restart_triggerer,
            reader.edit_dags,
            reader.pause_or_unpause,
            reader.kill_triggerer,
            reader.pause_or_unpause,
            reader.run_two_triggerers,
        ]
    )
    expected: Counter[str] = Counter()
    for number in range(publications):
        publish(registry, number)
        expected[key_of(number)] += 1
        if number % 50 == 49:  # some are written again
            publish(registry, number - 7)
            expected[key_of(number - 7)] += 1
        time.sleep(PAUSE)
        if number % BETWEEN_ACCIDENTS == BETWEEN_ACCIDENTS - 1:
            next(accidents)()
    if reader.is_paused:
        reader.pause_or_unpause()
    reader.wait_for_publications(expected)


def test_a_rewrite_is_another_run(reader: Reader, registry: RegistryStore) -> None:
    before = reader.runs("event_runs")
    publish(registry, 3)
    reader.wait_for_runs("event_runs", before + Counter([key_of(3)]))


def test_push_brings_the_same_to_an_instance_without_watchers(
    reader: Reader, registry: RegistryStore, registry_url: str
) -> None:
    reader.api.wait_until_parsed("pushed_runs", PATIENCE)
    reader.api.unpause("pushed_runs")
    base = reader.instance.ui_url.rstrip("/")
    token: Any = request_json("GET", f"{base}/auth/token")
    environment = os.environ | {
        "PATH": f"{ENVIRONMENTS / 'core' / 'bin'}:{os.environ['PATH']}",
        "PARTITION_REGISTRY_URL": registry_url,
        "PARTITION_REGISTRY_AIRFLOW_TOKEN": token["access_token"],
    }
    page = DOCS / "how-to" / "runs-without-sensors.md"
    push, replay = (["bash", "-c", _adapted(each, base)] for each in blocks(page, "bash"))
    expected: Counter[str] = Counter()
    first = (datetime(2026, 11, 1, tzinfo=UTC) - FIRST_DAY).days
    pushing = subprocess.Popen(push, env=environment)
    try:
        time.sleep(5)
        for number in range(first, first + 24):
            publish(registry, number)
            expected[key_of(number)] += 1
            if number % 8 == 7:
                pushing.send_signal(signal.SIGKILL if number % 16 == 7 else signal.SIGTERM)
                pushing.wait(60)
                pushing = subprocess.Popen(push, env=environment)
        reader.wait_for_runs("pushed_runs", expected)
    finally:
        pushing.terminate()
        pushing.wait(60)

    subprocess.run(
        replay, env=environment | {"PARTITION_REGISTRY_AIRFLOW_URL": base}, check=True, timeout=120
    )
    reader.wait_for_runs("pushed_runs", expected + Counter(key_of(each) for each in range(first, first + 7)))
    reader.api.pause("pushed_runs")


def _adapted(script: str, airflow_url: str) -> str:
    """The page's commands for this instance, in place of the shell, as they are signalled."""
    for written, meant in (
        ("https://airflow.example.com", airflow_url),
        ("shop.sales", "system.pushed"),
        (" sales ", " system.events "),
        ("--begin 2026-11-01", "--begin now"),
        ("partition-registry ", "exec partition-registry "),
    ):
        script = script.replace(written, meant)
    return script

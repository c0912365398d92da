"""An event loop full of waiting triggers whose registry is behind a web service that also dies."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store import listening
from airflow_provider_partition_registry.triggers.partition_registry import PartitionReadinessTrigger
from testbed.processes import until
from testbed.service_process import ServiceProcess
from tests.airflow.services import Place, service_on

pytestmark = pytest.mark.postgres

CROWD = 200
DAYS_ASKED = 30
WHOLE_MONTH = Interval("2026-11-01", "2026-12-01")
LATER_THAN_ANY_TEST = 3600.0
LISTENING_SLICE = 1.0  # seconds; half of the real value, to see several of them in a short time
QUIET_SECONDS = 3 * LISTENING_SLICE

EventOf = Callable[[PartitionReadinessTrigger], Any]


@pytest.fixture
def own_service(postgres_url: str) -> Iterator[ServiceProcess]:
    """A service whose log is about this test alone."""
    with service_on(postgres_url) as running:
        yield running


@pytest.fixture
def place(own_service: ServiceProcess, new_place: Callable[..., Place]) -> Place:
    return new_place(own_service, timeout=5)


def a_crowd(place: Place) -> list[PartitionReadinessTrigger]:
    return [
        PartitionReadinessTrigger(
            partition_registry_conn_id="partition_registry_default",
            source_name=place.source,
            start=f"2026-11-{number % DAYS_ASKED + 1:02}",
            grain="day",
            poll_interval=LATER_THAN_ANY_TEST,
        )
        for number in range(CROWD)
    ]


async def event_of(trigger: PartitionReadinessTrigger) -> Any:
    (event,) = [event.payload async for event in trigger.run()]
    return event


def requests(service: ServiceProcess) -> Counter[str]:
    """The requests that the service has got so far, by its own log."""
    lines = [json.loads(line) for line in service.log_text.splitlines() if line.startswith("{")]
    return Counter(line["path"].removeprefix("/api/v1") for line in lines if "path" in line)


async def requests_while_nobody_asks(service: ServiceProcess) -> Counter[str]:
    """The requests in the next interval without a question, which comes soon, as there is no news to ask about."""
    async with asyncio.timeout(120):
        while True:
            before = requests(service)
            await asyncio.sleep(QUIET_SECONDS)
            found = requests(service) - before
            if "/readiness" not in found:
                return found


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[str], int]:
    """Says how many triggers have logged a text."""
    monkeypatch.setattr(PartitionReadinessTrigger, "log", logging.getLogger("trigger"))
    caplog.set_level(logging.INFO, logger="trigger")
    return lambda words: sum(
        record.name == "trigger" and words in record.getMessage() for record in caplog.records
    )


async def publish(place: Place) -> float:
    """Publish the month; returns when that was answered."""

    def lock_and_unlock() -> float:
        (provider,) = [
            each.name for each in place.store.list_providers(place.source).items if "loader" in each.name
        ]
        place.store.lock(PartitionKey(place.source, provider, WHOLE_MONTH), register=True)
        place.store.unlock(PartitionKey(place.source, provider, WHOLE_MONTH))
        return time.monotonic()

    return await asyncio.to_thread(lock_and_unlock)


def test_a_crowd_costs_one_open_request(
    place: Place,
    own_service: ServiceProcess,
    told: Callable[[str], int],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    monkeypatch.setattr(listening, "LISTENING_SLICE", LISTENING_SLICE)

    async def run() -> tuple[Counter[str], list[Any], float]:
        waiting = [asyncio.create_task(event_of(trigger)) for trigger in a_crowd(place)]
        await until(lambda: told("Not ready") == CROWD, what="all to wait", timeout=120)
        while_quiet = await requests_while_nobody_asks(own_service)
        assert not any(task.done() for task in waiting)
        published_at = await publish(place)
        first = asyncio.create_task(asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED))
        await first
        took = time.monotonic() - published_at
        return while_quiet, await asyncio.wait_for(asyncio.gather(*waiting), 60), took

    while_quiet, events, took = asyncio.run(run())
    assert {event["status"] for event in events} == {"ready"}
    assert set(while_quiet) == {"/events"}
    assert while_quiet["/events"] <= QUIET_SECONDS / LISTENING_SLICE + 1
    assert told("does not respond") == 0
    record_property("unlock_to_first_event_ms", round(took * 1000))


def test_a_service_that_dies_and_comes_back(
    place: Place,
    own_service: ServiceProcess,
    told: Callable[[str], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "LONGEST_BACK_OFF", 1.0)

    async def run() -> list[Any]:
        waiting = [asyncio.create_task(event_of(trigger)) for trigger in a_crowd(place)]
        await until(lambda: told("Not ready") == CROWD, what="all to wait", timeout=120)
        await asyncio.to_thread(own_service.kill)
        # Without a question in between, only the listener notices.
        await until(lambda: told("does not respond") == CROWD, what="all to notice", timeout=120)
        await asyncio.to_thread(own_service.start)
        assert not any(task.done() for task in waiting)
        await publish(place)
        return await asyncio.wait_for(asyncio.gather(*waiting), 60)

    events = asyncio.run(run())
    assert {event["status"] for event in events} == {"ready"}
    assert told("does not respond") == CROWD, "each trigger tells of the trouble once"


def test_a_service_that_is_restarted_in_good_order(
    place: Place, own_service: ServiceProcess, told: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "LONGEST_BACK_OFF", 1.0)

    async def run() -> list[Any]:
        waiting = [asyncio.create_task(event_of(trigger)) for trigger in a_crowd(place)]
        await until(lambda: told("Not ready") == CROWD, what="all to wait", timeout=120)
        assert await asyncio.to_thread(own_service.process.stop), "it ends the requests that wait"
        await asyncio.to_thread(own_service.start)
        await publish(place)
        return await asyncio.wait_for(asyncio.gather(*waiting), 60)

    assert {event["status"] for event in asyncio.run(run())} == {"ready"}

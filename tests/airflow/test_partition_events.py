"""The trigger that follows a source for an asset, by itself; in a triggerer it is played in ``tests/system``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.grain_cursor import GrainCursor
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.runtime.compat import IS_AIRFLOW_3
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.triggers import partition_events
from airflow_provider_partition_registry.triggers.partition_events import PartitionEventTrigger
from testbed.processes import until
from tests.airflow.registries import publish

pytestmark = pytest.mark.usefixtures("has_watchers")


@pytest.fixture
def has_watchers(request: pytest.FixtureRequest) -> None:
    if not IS_AIRFLOW_3 and request.function is not test_airflow_2_is_told_that_it_has_no_watchers:
        pytest.skip("Airflow 2 has no watchers of assets")


@pytest.mark.skipif(IS_AIRFLOW_3, reason="Airflow 3 has watchers of assets")
def test_airflow_2_is_told_that_it_has_no_watchers() -> None:
    with pytest.raises(InvalidInputError, match="Wait with a PartitionReadinessSensor"):
        PartitionEventTrigger("sales")


class Accessor:
    """Of one asset's state store, as Airflow 3.3 gives it to a trigger, and what its listener stores there."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    async def aget(self, key: str) -> Any:
        return self.values.get(key)

    async def aset(self, key: str, value: Any) -> None:
        self.values[key] = value


class StateStore:
    """The state stores of the assets that a trigger is watched for."""

    def __init__(self, *names: str) -> None:
        self._by_name = {name: Accessor() for name in names}
        self._by_uri: dict[str, Accessor] = {}

    def cursors(self) -> list[Any]:
        return [value for each in self._by_name.values() for value in each.values.values()]


def days(first: int, last: int) -> Interval:
    return Interval(f"2026-11-{first:02}", f"2026-11-{last:02}")


def follow(
    trigger: PartitionEventTrigger,
    count: int,
    *meanwhile: Callable[[], Any],
    assets: StateStore | None = None,
) -> list[dict[str, Any]]:
    """The first events of a trigger, stored as Airflow does; the first one of these calls is made when it follows."""
    assets = assets or StateStore("sales")
    trigger.asset_state_store = assets

    async def run() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []

        async def collect() -> None:
            async for event in trigger.run():
                found.append(event.payload)
                for each in assets._by_name.values():
                    each.values[event.payload["subscription"]] = event.payload["cursor"]
                if len(found) == count:
                    return

        following = asyncio.create_task(collect())
        for call in meanwhile:
            await until(
                lambda: following.done() or trigger._reached is not None, what="the trigger to have begun"
            )
            await asyncio.to_thread(call)
        await asyncio.wait_for(following, 60)
        return found

    return asyncio.run(run())


async def first_of(trigger: PartitionEventTrigger) -> Any:
    async with aclosing(trigger.run()) as events:  # type: ignore[type-var]
        return await anext(events)


def starts(found: list[dict[str, Any]]) -> list[str]:
    return [each["start"][:10] for each in found]


ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"became_ready": "day", "timezone": "Europe/Paris", "begin": "2026-11-01"},
    {"became_ready": timedelta(hours=6), "start": "2026-11-01", "end": "2026-12-01"},
    {"event_types": ["UNLOCK", "LOCK"], "provider_name": "loader", "partition_registry_conn_id": "other"},
]


@pytest.mark.parametrize("given", ARGUMENTS)
def test_serialization(given: dict[str, Any]) -> None:
    trigger = PartitionEventTrigger("sales", **given)
    path, stored = trigger.serialize()
    assert json.loads(json.dumps(stored)) == stored
    again = PartitionEventTrigger(**stored)
    assert again.serialize() == (path, stored)
    assert again.subscription == trigger.subscription
    assert PartitionEventTrigger.hash(path, stored) == PartitionEventTrigger.hash(*again.serialize())


def test_what_is_followed_has_a_name_of_its_own() -> None:
    all_of_them = [PartitionEventTrigger("sales", **each).subscription for each in ARGUMENTS]
    assert len(set(all_of_them)) == len(all_of_them)
    later = PartitionEventTrigger("sales", **ARGUMENTS[1] | {"begin": "now"})
    assert later.subscription == all_of_them[1]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"source_name": "a b"}, "white space"),
        ({"became_ready": "year"}, "A grain is one of"),
        ({"became_ready": -1}, "longer than zero"),
        ({"became_ready": "day", "provider_name": "loader"}, "no provider"),
        ({"event_types": ["PUBLISHED"]}, "An event type is one of SOURCE_REGISTERED"),
        ({"timezone": "Mars/Base"}, "Unknown time zone"),
        ({"begin": "yesterday"}, "is not an instant"),
        ({"start": "2026-11-02", "end": "2026-11-01"}, "is empty"),
    ],
)
def test_mistakes_are_told_when_the_dag_is_parsed(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        PartitionEventTrigger(**{"source_name": "sales", **given})


def test_a_day_is_told_when_it_became_ready(registry: RegistryStore) -> None:
    publish(registry, interval=days(1, 2))  # before it begins
    (told,) = follow(
        PartitionEventTrigger("sales", became_ready="day"),
        1,
        lambda: publish(registry, interval=days(2, 3)),
    )
    assert told["partition_key"] == "2026-11-02"
    assert (told["source_name"], told["start"], told["end"]) == (
        "sales",
        "2026-11-02T00:00:00Z",
        "2026-11-03T00:00:00Z",
    )
    assert told["version"] == registry.last_position() == int(told["cursor"])


def test_it_goes_on_where_the_former_one_was(registry: RegistryStore) -> None:
    assets = StateStore("sales")
    follow(
        PartitionEventTrigger("sales", became_ready="day"),
        3,
        lambda: publish(registry, interval=days(1, 5)),
        assets=assets,
    )
    publish(registry, interval=days(5, 6))
    publish(registry, interval=days(1, 2))
    found = follow(PartitionEventTrigger("sales", became_ready="day"), 3, assets=assets)
    assert starts(found) == ["2026-11-04", "2026-11-05", "2026-11-01"]


def test_a_first_start_that_has_seen_nothing_keeps_its_beginning(registry: RegistryStore) -> None:
    assets = StateStore("sales")

    def follow_for_a_moment() -> None:
        trigger = PartitionEventTrigger("sales", became_ready="day")
        trigger.asset_state_store = assets

        async def run() -> None:
            following: asyncio.Task[Any] = asyncio.create_task(first_of(trigger))
            await until(lambda: bool(assets.cursors()), what="the beginning to be stored")
            following.cancel()
            await asyncio.wait([following])

        asyncio.run(run())

    follow_for_a_moment()
    publish(registry, interval=days(7, 8))
    assert starts(follow(PartitionEventTrigger("sales", became_ready="day"), 1, assets=assets)) == [
        "2026-11-07"
    ]


def test_it_may_begin_in_the_past(registry: RegistryStore) -> None:
    publish(registry, interval=days(1, 3))
    assert starts(follow(PartitionEventTrigger("sales", became_ready="day", begin="2020-01-01"), 2)) == [
        "2026-11-01",
        "2026-11-02",
    ]


def test_an_asset_that_is_added_later_gets_what_the_others_lack(registry: RegistryStore) -> None:
    assets = StateStore("sales", "copy")
    follow(
        PartitionEventTrigger("sales", became_ready="day"),
        2,
        lambda: publish(registry, interval=days(1, 3)),
        assets=assets,
    )
    (key,) = assets._by_name["copy"].values
    assets._by_name["copy"].values[key] = str(int(registry.last_position()) - 1)
    found = follow(PartitionEventTrigger("sales", became_ready="day"), 2, assets=assets)
    assert starts(found) == ["2026-11-01", "2026-11-02"]


def test_a_backlog_is_delivered_portion_by_portion(
    registry: RegistryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_events, "MOST_IN_FLIGHT", 5)
    publish(registry, interval=days(1, 25))
    found = follow(PartitionEventTrigger("sales", became_ready="day", begin="2020-01-01"), 24)
    cursors = [GrainCursor.of(each["cursor"]) for each in found]
    assert all(one < other for one, other in pairwise(cursors))
    assert starts(found) == [f"2026-11-{day:02}" for day in range(1, 25)]


def test_nothing_further_is_sent_until_airflow_has_stored_what_was(
    registry: RegistryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_events, "MOST_IN_FLIGHT", 5)
    publish(registry, interval=days(1, 25))
    trigger = PartitionEventTrigger("sales", became_ready="day", begin="2020-01-01")
    trigger.asset_state_store = StateStore("sales")

    async def run() -> int:
        events, found = trigger.run(), 0
        try:
            while True:
                await asyncio.wait_for(anext(events), 3)
                found += 1
        except TimeoutError:
            return found

    assert asyncio.run(run()) == 5


def test_events_of_a_type_a_provider_and_an_interval(registry: RegistryStore) -> None:
    def write() -> None:
        publish(registry, interval=days(1, 2))
        publish(registry, interval=days(1, 2), provider="other")
        publish(registry, interval=days(3, 4))

    trigger = PartitionEventTrigger(
        "sales", event_types=["LOCK", "UNLOCK"], provider_name="loader", start="2026-11-02"
    )
    found = follow(trigger, 2, write)
    assert [(each["type"], each["start"]) for each in found] == [
        ("LOCK", "2026-11-03T00:00:00Z"),
        ("UNLOCK", "2026-11-03T00:00:00Z"),
    ]
    assert {each["provider_name"] for each in found} == {"loader"}
    assert "partition_key" not in found[0]


def test_only_days_of_an_interval(registry: RegistryStore) -> None:
    trigger = PartitionEventTrigger("sales", became_ready="day", start="2026-11-02", end="2026-11-03")
    assert starts(follow(trigger, 1, lambda: publish(registry, interval=days(1, 9)))) == ["2026-11-02"]


def test_a_source_is_waited_for(registry: RegistryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_events, "POLL_INTERVAL", 0.2)

    def register() -> None:
        token = registry.register_source("new", "a-team").access_token
        registry.register_provider("newcomer", token)
        key = PartitionKey("new", "newcomer", days(1, 2))
        registry.unlock(key, generation=registry.lock(key, register=True).generation)

    trigger = PartitionEventTrigger("new", became_ready="day", begin="2020-01-01")
    trigger.asset_state_store = StateStore("new")

    async def run() -> Any:
        first: asyncio.Task[Any] = asyncio.create_task(first_of(trigger))
        await asyncio.sleep(1)
        await asyncio.to_thread(register)
        return await asyncio.wait_for(first, 30)

    assert asyncio.run(run()).payload["start"] == "2026-11-01T00:00:00Z"


def test_a_connection_that_is_missing_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(partition_events, "back_off", lambda _failures: 0.1)
    trigger = PartitionEventTrigger("sales", became_ready="day", partition_registry_conn_id="nowhere")

    async def run() -> None:
        first: asyncio.Task[Any] = asyncio.create_task(first_of(trigger))
        await asyncio.sleep(1)
        assert not first.done()
        first.cancel()
        await asyncio.wait([first])

    asyncio.run(run())
    assert capsys.readouterr().out.count("'nowhere' is not configured") == 1

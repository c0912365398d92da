"""A service that keeps a part of the history, and what it answers about the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_partition_registry.domain.errors import InvalidInputError, PrunedPositionError
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.server import pruning
from airflow_provider_partition_registry.server.pruning import Pruner
from airflow_provider_partition_registry.server.settings import KEEP_HISTORY, ServiceSettings
from airflow_provider_partition_registry.server.waiting import feed as feed_module
from airflow_provider_partition_registry.server.waiting.feed import Feed
from airflow_provider_partition_registry.store.factory import open_database
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from testbed.processes import until, wait_until
from testbed.service import ServiceThread
from testbed.service_process import ServiceProcess
from tests.contract.homes import ManualClock, hours
from tests.contract.sql import pruned
from tests.documents import DOCS, blocks
from tests.service.calling import caller, sqlite_at

KEEP = timedelta(days=30)
KEY = PartitionKey("s", "p", hours(0, 1))


def write(store: SqlRegistryStore, times: int) -> int:
    for _ in range(times):
        store.lock(KEY, register=True)
        store.unlock(KEY)
    return store.last_position()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A registry with a history that is older than what is kept, and a younger one."""
    url = sqlite_at(tmp_path)
    clock = ManualClock(datetime.now(UTC) - 2 * KEEP)
    with open_sql_store(url, pool_size=1, timeout=30, clock=clock) as store:
        store.register_provider("p", store.register_source("s", "ann").access_token)
        write(store, 3)
        clock.advance(1.5 * KEEP)
        write(store, 2)
    return url


@pytest.fixture
def store(url: str) -> Iterator[SqlRegistryStore]:
    with open_sql_store(url, pool_size=4, timeout=30) as store:
        yield store


def is_pruned(store: SqlRegistryStore) -> bool:
    return store.latest_events("s").pruned_before is not None


def test_several_services_keep_as_much_as_they_are_told(url: str, store: SqlRegistryStore) -> None:
    """With the setting of docs/how-to/keep-the-history-short.md, but for less."""
    (shown,) = blocks(DOCS / "how-to" / "keep-the-history-short.md", "ini")
    assert shown.strip() == f"{KEEP_HISTORY}=400d"
    with ExitStack() as stack:
        clients = []
        for _ in range(2):
            service = stack.enter_context(ServiceProcess(url, variables={KEEP_HISTORY: "30d"}))
            clients.append(stack.enter_context(caller(service.url)))
        wait_until(lambda: is_pruned(store), what="a service to prune", timeout=60)
        assert [each.at > datetime.now(UTC) - KEEP for each in store.latest_events("s").items] == [
            *[True] * 4,
            *[False] * 2,
        ]

        def counted() -> float:
            lines = [line for each in clients for line in each.get("/metrics").text.splitlines()]
            name = "partition_registry_pruned_events_total "
            return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))

        wait_until(lambda: counted() == 7, what="the metric", timeout=60)


def test_without_being_told_it_keeps_everything(url: str, store: SqlRegistryStore) -> None:
    pruner = Pruner(ServiceSettings(url))
    pruner.start()
    assert not is_pruned(store)
    pruner.stop()


def test_a_registry_in_trouble_is_tried_again(
    url: str, store: SqlRegistryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pruning, "TRIED_EVERY", 0.01)
    file = Path(url.removeprefix("sqlite:///"))
    file.rename(file.with_suffix(".away"))
    pruner = Pruner(ServiceSettings(url, keep_history=KEEP))
    pruner.start()
    wait_until(lambda: "cannot be pruned" in caplog.text, what="the trouble", timeout=60)
    file.with_suffix(".away").rename(file)
    wait_until(lambda: is_pruned(store), what="pruning", timeout=60)
    pruner.stop()


@pytest.mark.parametrize("text", ["23h", "soon", "0d", "-3d"])
def test_a_wrong_setting_is_refused(url: str, text: str) -> None:
    with pytest.raises(InvalidInputError):
        ServiceSettings.of_environment({"PARTITION_REGISTRY_DATABASE_URL": url, KEEP_HISTORY: text})


def test_worker_processes_get_the_setting(url: str) -> None:
    settings = ServiceSettings(url, keep_history=KEEP)
    assert ServiceSettings.of_environment(settings.as_environment()) == settings
    assert ServiceSettings.of_environment(ServiceSettings(url).as_environment()).keep_history is None


def test_who_asks_for_what_is_gone_is_told(url: str, store: SqlRegistryStore) -> None:
    with ServiceThread(ServiceSettings(url), store) as service, caller(service.url) as client:
        assert client.get("/api/v1/events/latest", params={"source_name": "s"}).json().keys() == {
            "items",
            "next",
        }
        pruned(store, datetime.now(UTC) - KEEP)
        for path, headers in (
            ("events", {}),
            ("events?after=4&source_name=s&wait_seconds=5", {}),
            ("events/stream?after=4", {}),
            ("events/stream", {"Last-Event-ID": "4"}),
        ):
            refused = client.get(f"/api/v1/{path}", headers=headers)
            assert refused.status_code == 410
            assert refused.json()["error"]["code"] == "pruned_position"
            assert refused.json()["error"]["details"]["pruned_to"] == 9
        left = client.get("/api/v1/events", params={"after": 9}).json()["items"]
        assert [each["position"] for each in left] == [10, 11, 12, 13]
        page = client.get("/api/v1/events/latest", params={"source_name": "s"}).json()
        assert page["pruned_before"] is not None
        assert "The history was pruned" in client.get("/source", params={"name": "s"}).text


def test_a_follower_that_is_overtaken_gets_an_error_and_the_feed_goes_on(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "REMEMBERED", 2)
    monkeypatch.setattr(feed_module, "POLL_INTERVAL", 0.01)

    async def follow() -> None:
        with open_database(url, pool_size=4) as store:
            assert isinstance(store, SqlRegistryStore)
            feed = Feed(store)
            reading = asyncio.create_task(feed.run())
            end = store.last_position()
            await until(lambda: feed._position == end, what="the feed", timeout=60)
            async with aclosing(feed.follow(end, "s")) as behind, aclosing(feed.follow(end)) as present:
                reads = asyncio.create_task(anext(present))
                write(store, 4)
                assert (await reads)[0].position == end + 1
                await until(lambda: feed._position == end + 8, what="the feed", timeout=60)
                pruned(store, datetime.now(UTC))
                with pytest.raises(PrunedPositionError):
                    await anext(behind)
            async with aclosing(feed.follow(end + 8)) as new:
                reads = asyncio.create_task(anext(new))
                write(store, 1)
                assert (await reads)[0].position == end + 9
            reading.cancel()
            await asyncio.wait([reading])

    asyncio.run(follow())

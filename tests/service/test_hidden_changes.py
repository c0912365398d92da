"""While a slow writer of another source holds the history back, who waits for changes learns where they are."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_mock

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.server.waiting import hints as hints_module
from airflow_provider_partition_registry.store.contract import Listener, RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.poller import Poller
from airflow_provider_partition_registry.store.wire.answers import HEARD_HEADER, HEARD_NOTHING
from testbed.balancing import balanced
from testbed.freezing import freezing
from testbed.processes import wait_until
from testbed.service import ServiceThread
from testbed.service_process import ServiceProcess
from testbed.versions import former_version
from tests.contract.homes import hours
from tests.races.conftest import register
from tests.service.conftest import client, wait_for_waiting

pytestmark = pytest.mark.postgres

TURN_TIMEOUT = 60.0  # seconds, for what normally takes a moment
MOMENT = 0.5  # seconds in which nothing is expected
FROZEN, SOURCES = "frozen", ("a", "b", "c")


class World(NamedTuple):
    """A registry, and a service in front of it."""

    url: str
    service: ServiceThread
    behind: RegistryStore


@pytest.fixture
def world(postgres_url: str) -> Iterator[World]:
    with open_store(postgres_url) as behind:
        for source in (FROZEN, *SOURCES):
            register(behind, source, 1)
        with ServiceThread(ServiceSettings(postgres_url, is_open=True)) as service:
            yield World(postgres_url, service, behind)


@contextmanager
def held_back(world: World) -> Iterator[subprocess.Popen[str]]:
    """Let a writer hold the history back, and the service notice it."""
    feed = world.service.app.state.service.feed
    with freezing(world.url, FROZEN) as writer:
        publish(world.behind, "c")
        wait_until(lambda: feed._is_held_back, what="the service to notice", timeout=TURN_TIMEOUT)
        yield writer


def publish(store: RegistryStore, source: str, hour: int = 0) -> None:
    key = PartitionKey(source, "p0", hours(hour, hour + 1))
    store.unlock(key, generation=store.lock(key, register=True).generation)


def heard(listener: Listener) -> frozenset[str]:
    found = listener.wait(TURN_TIMEOUT)
    assert found is not None
    return found


def test_what_changed_between_two_requests_is_named_in_the_next(world: World) -> None:
    with (
        open_store(world.service.url) as store,
        closing(store.open_listener()) as one,
        closing(store.open_listener()) as other,
        held_back(world) as writer,
    ):
        assert heard(one) == {"c"}
        publish(world.behind, "a")
        publish(world.behind, "b")
        hints = world.service.app.state.service.feed.hints
        wait_until(
            lambda: hints.since(0) == {"a", "b", "c"}, what="the service to hear", timeout=TURN_TIMEOUT
        )
        assert heard(one) == {"a", "b"}
        assert one.wait(MOMENT) is None, "it is said once"
        assert heard(other) == {"a", "b", "c"}, "and to each"
        publish(world.behind, "a", 1)
        assert heard(one) == heard(other) == {"a"}
        writer.send_signal(signal.SIGCONT)
        writer.wait(TURN_TIMEOUT)
        assert heard(one) == set(SOURCES), "when it can be listed, it is"


def test_names_that_are_too_many_are_left_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints_module, "MOST_NAMED", 1)
    with (
        open_store(world.service.url) as store,
        closing(store.open_listener()) as listener,
        held_back(world),
    ):
        assert heard(listener) == {"c"}
        publish(world.behind, "a")
        publish(world.behind, "b")
        hints = world.service.app.state.service.feed.hints
        wait_until(lambda: hints.since(0) == set(), what="the service to hear", timeout=TURN_TIMEOUT)
        assert heard(listener) == frozenset(), "any may have changed"
        publish(world.behind, "b", 1)
        assert heard(listener) == {"b"}


def test_a_crowd_that_waits_for_other_sources_is_not_asked_for(
    world: World, mocker: pytest_mock.MockerFixture
) -> None:
    store = open_store(world.service.url)
    asked = mocker.spy(store, "check_readiness_many").mock_calls

    def sources_asked_for() -> set[str]:
        questions: Iterator[Sequence[Question]] = (call.args[0] for call in asked)
        return {each.source_name for each in chain.from_iterable(questions)}

    async def wait(poller: Poller, source: str, hour: int) -> None:
        async with aclosing(poller.updates([Question(source, hours(hour, hour + 1))], 600)) as updates:
            async for news in updates:
                if news.is_ready:
                    return

    async def play() -> None:
        poller = Poller(lambda: store, explains=False)
        of_a = [asyncio.create_task(wait(poller, "a", hour)) for hour in range(50)]
        of_b = [asyncio.create_task(wait(poller, "b", hour)) for hour in range(5)]
        with client(world.service) as http:
            await asyncio.to_thread(wait_for_waiting, http, "events")
            with freezing(world.url, FROZEN):
                await until_quiet(asked)
                for hour, waiting in enumerate(of_b):
                    await asyncio.to_thread(publish, world.behind, "b", hour)
                    await asyncio.wait_for(waiting, TURN_TIMEOUT)
                assert sources_asked_for() == {"b"}
                for hour in range(50):
                    await asyncio.to_thread(publish, world.behind, "a", hour)
                await asyncio.wait_for(asyncio.gather(*of_a), TURN_TIMEOUT)

    asyncio.run(play())


async def until_quiet(asked: list[Any]) -> None:
    """Wait until nobody is asked for any more, and forget who was."""
    count = -1
    async with asyncio.timeout(TURN_TIMEOUT):
        while count != len(asked):
            count = len(asked)
            await asyncio.sleep(2 * MOMENT)
    asked.clear()


def test_any_process_behind_a_balancer_names_what_another_has_not_told(postgres_url: str) -> None:
    """Each wait ends although requests come to either of them in turns, and to one that is started meanwhile."""
    with (
        open_store(postgres_url) as behind,
        ServiceProcess(postgres_url, "--open", "--workers", "1") as one,
        ServiceProcess(postgres_url, "--open", "--workers", "1") as other,
        balanced([one.url, other.url]) as url,
        open_store(url) as store,
    ):
        for source in (FROZEN, *SOURCES):
            register(behind, source, 1)
        with closing(store.open_listener()) as listener, freezing(postgres_url, FROZEN):
            for turn in range(20):
                source = SOURCES[turn % len(SOURCES)]
                publish(behind, source, turn)
                found: set[str] = set()
                wait_until(
                    lambda found=found, source=source: source in found.union(told(listener, found)),
                    what=f"change {turn} to be named",
                    timeout=TURN_TIMEOUT,
                )
            other.kill()
            other.start()
            wait_until(
                lambda: listener.wait(MOMENT) == frozenset(),
                what="the one that began late to say that it cannot know",
                timeout=TURN_TIMEOUT,
            )
            wait_until(
                lambda: [listener.wait(MOMENT) for _ in range(4)] == [None] * 4,
                what="both to have said everything",
                timeout=TURN_TIMEOUT,
            )


def told(listener: Listener, found: set[str]) -> set[str]:
    found |= listener.wait(MOMENT) or set()
    return found


def test_a_client_that_does_not_say_what_it_has_heard_is_answered_upon_the_next_change(world: World) -> None:
    """As clients of former versions are, which would ask again and again if they were told what is past."""
    with client(world.service) as http, ThreadPoolExecutor(1) as pool:
        after = http.get("/api/v1/events/last").json()["position"]

        def ask(headers: dict[str, str], seconds: float, **more: str) -> Any:
            params = {"after": after, "wait_seconds": seconds, **more}
            return http.get("/api/v1/events", params=params, headers=headers).json()

        with held_back(world):
            assert ask({}, MOMENT) == {"items": [], "next": None}
            waiting = pool.submit(ask, {}, TURN_TIMEOUT)
            with client(world.service) as another:
                wait_for_waiting(another, "events")
            publish(world.behind, "a")
            assert waiting.result()["changed_sources"] == ["a"]
            named = ask({HEARD_HEADER: HEARD_NOTHING}, TURN_TIMEOUT)
            assert named["changed_sources"] == ["a", "c"]
            assert ask({HEARD_HEADER: named["heard"]}, MOMENT) == {"items": [], "next": None}
            of_b = ask({HEARD_HEADER: HEARD_NOTHING}, MOMENT, source_name="b")
            assert of_b == {"items": [], "next": None}, "who follows one source waits for nothing else"


def test_a_wait_of_a_former_version_s_client_ends(world: World, tmp_path: Path) -> None:
    former = former_version("0006", tmp_path)
    hour = hours(0, 1)
    interval = ("--start", hour.start.isoformat(), "--end", hour.end.isoformat())
    patience = ("--timeout", "10m", "--poll-interval", "2s")
    with client(world.service) as http, ThreadPoolExecutor(1) as pool, held_back(world):
        waiting = pool.submit(former.command, world.service.url, "wait", "a", *interval, *patience)
        wait_for_waiting(http, "events")
        publish(world.behind, "a")
        assert waiting.result().returncode == 0, waiting.result()


def test_a_former_version_s_service_can_be_listened_to(
    new_postgres_url: Callable[..., str], tmp_path: Path
) -> None:
    former, url = former_version("0006", tmp_path), new_postgres_url(template=None)
    assert former.command(url, "db", "upgrade").returncode == 0
    with (
        ServiceProcess(url, "--open", "--workers", "1", variables=former.variables) as service,
        open_store(service.url) as store,
    ):
        register(store, "a", 1)
        with closing(store.open_listener()) as listener:
            assert listener.wait(MOMENT) is None
            publish(store, "a")
            assert heard(listener) == {"a"}


def test_an_early_answer_that_names_nothing_may_concern_any_source(postgres_url: str) -> None:
    """A service that is stopped answers so, and one of a former version whenever something is hidden."""
    with (
        ServiceProcess(postgres_url, "--open", "--workers", "1") as service,
        open_store(service.url) as store,
        closing(store.open_listener()) as listener,
        client(service) as http,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(listener.wait, TURN_TIMEOUT)
        wait_for_waiting(http, "events")
        service.process.stop()
        assert waiting.result() == frozenset()

"""Triggers that start together share one look-up of their connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException, Connection
from asgiref.sync import async_to_sync

from airflow_provider_partition_registry.runtime import connections as sharing
from airflow_provider_partition_registry.runtime.compat import ask_in_thread
from airflow_provider_partition_registry.runtime.connections import (
    RegistryConnectionNotFoundError,
    shared_settings,
)
from airflow_provider_partition_registry.runtime.settings import ConnectionSettings

# pytest reports unhandled errors, such as a task's exception that was never retrieved.
pytestmark = pytest.mark.filterwarnings("error")


class SlowAirflow:
    """Answers look-ups when the test tells it to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.host: str | None = "db"
        self.may_answer = asyncio.Event()

    async def get(self, conn_id: str) -> Connection:
        self.asked.append(conn_id)
        await self.may_answer.wait()
        if self.host is None:
            raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")
        return Connection(conn_id=conn_id, conn_type="partition_registry", host=self.host)


Scenario = Callable[[SlowAirflow], Coroutine[Any, Any, None]]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario], None]:
    def run(scenario: Scenario) -> None:
        async def with_airflow() -> None:
            airflow = SlowAirflow()
            monkeypatch.setattr(sharing, "_find_connection", airflow.get)
            await asyncio.wait_for(scenario(airflow), 30)
            assert not sharing._look_ups[asyncio.get_running_loop()]

        asyncio.run(with_airflow())

    return run


async def turns() -> None:
    """Let everything in the event loop run as far as it can without an answer; no clock is involved."""
    for _ in range(20):
        await asyncio.sleep(0)


async def started(*conn_ids: str) -> list[asyncio.Task[ConnectionSettings]]:
    tasks = [asyncio.create_task(shared_settings(conn_id)) for conn_id in conn_ids]
    await turns()
    return tasks


def test_simultaneous_callers_share_one_look_up(play: Callable[[Scenario], None]) -> None:
    async def scenario(airflow: SlowAirflow) -> None:
        waiting = await started("here", "here", "there", "here")
        airflow.may_answer.set()
        assert {settings.url for settings in await asyncio.gather(*waiting)} == {"postgresql://db/"}
        assert airflow.asked == ["here", "there"]

    play(scenario)


def test_a_later_caller_sees_an_edited_connection(play: Callable[[Scenario], None]) -> None:
    async def scenario(airflow: SlowAirflow) -> None:
        airflow.may_answer.set()
        await shared_settings("here")
        airflow.host = "moved"
        assert (await shared_settings("here")).url == "postgresql://moved/"
        assert airflow.asked == ["here", "here"]

    play(scenario)


@pytest.mark.parametrize("cancelled", [0, 1])
def test_a_cancelled_caller_does_not_cancel_the_others(
    cancelled: int, play: Callable[[Scenario], None]
) -> None:
    async def scenario(airflow: SlowAirflow) -> None:
        waiting = await started("here", "here")
        waiting[cancelled].cancel()
        await turns()
        airflow.may_answer.set()
        gone, answer = await asyncio.gather(
            waiting[cancelled], waiting[1 - cancelled], return_exceptions=True
        )
        assert isinstance(gone, asyncio.CancelledError)
        assert answer.url == "postgresql://db/"
        assert airflow.asked == ["here"]

    play(scenario)


def test_an_error_is_raised_for_all_callers(play: Callable[[Scenario], None]) -> None:
    async def scenario(airflow: SlowAirflow) -> None:
        airflow.host = None
        waiting = await started("nowhere", "nowhere")
        airflow.may_answer.set()
        for error in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(error, RegistryConnectionNotFoundError)
            assert "AIRFLOW_CONN_NOWHERE" in str(error)
        assert airflow.asked == ["nowhere"]

    play(scenario)


def test_an_error_that_nobody_waits_for_any_more_is_dropped(
    play: Callable[[Scenario], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(airflow: SlowAirflow) -> None:
        airflow.host = None
        (waiting,) = await started("nowhere")
        waiting.cancel()
        await turns()
        airflow.may_answer.set()
        await turns()

    play(scenario)
    assert "never retrieved" not in caplog.text


def test_calls_in_a_thread_are_answered_in_the_same_loop() -> None:
    """The triggerers of Airflow 3.0 and 3.1 read their supervisor's answers in that loop, and end if others do."""

    async def the_answers_loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def ask_supervisor() -> asyncio.AbstractEventLoop:
        return async_to_sync(the_answers_loop)()

    async def trigger() -> None:
        assert await ask_in_thread(ask_supervisor) is asyncio.get_running_loop()

    asyncio.run(asyncio.wait_for(trigger(), 30))

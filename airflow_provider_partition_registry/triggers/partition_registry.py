"""Triggers that wait in the triggerer; all on one connection share one batch of questions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_partition_registry.domain.errors import (
    RegistryError,
    StoreRefusedError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.domain.intervals import Interval, to_instant
from airflow_provider_partition_registry.domain.locking import conflicts
from airflow_provider_partition_registry.domain.models import Holder, PartitionKey, PartitionState
from airflow_provider_partition_registry.domain.noting import Notes
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from airflow_provider_partition_registry.links.partition_registry import store_link_from_trigger
from airflow_provider_partition_registry.runtime.addresses import in_words, timeline_path
from airflow_provider_partition_registry.runtime.compat import (
    RESUME_NOT_BEFORE,
    AirflowNotFoundException,
    push_result,
)
from airflow_provider_partition_registry.runtime.connections import poller_of
from airflow_provider_partition_registry.runtime.errors import TIMEOUT_MARGIN
from airflow_provider_partition_registry.runtime.settings import of_connection
from airflow_provider_partition_registry.runtime.waiting import (
    ConditionWait,
    Wait,
    WaitParameters,
    wait_of_run,
)
from airflow_provider_partition_registry.store.poller import Poller
from airflow_provider_partition_registry.store.waiters import News


@dataclass(kw_only=True, eq=False, repr=False)
class PartitionReadinessTrigger(WaitParameters, BaseTrigger):
    """Wait until everything asked for is ready.

    The parameters are those of
    :class:`~airflow_provider_partition_registry.sensors.partition_registry.PartitionReadinessSensor`, except that a
    grain that is a timedelta is given in seconds, and further:

    :param poll_interval: seconds between two questions at most; notifications only shorten it.
    :param deadline: ISO 8601; when to give up. By default shortly before Airflow's own time-out.
    :param told: what the task has told of what is missing before it deferred; only what changes is told from then on.
    :param timeout: seconds that the wait lasts up to the deadline, which so says when it began, in whichever process.
    :param ends_task: end the task from the triggerer when everything is ready, without a worker (Airflow 3.3).
    :param pushes_result: then also store the answer as the task's result.
    """

    partition_registry_conn_id: str
    poll_interval: float = 60.0
    deadline: str | None = None
    told: str = ""
    timeout: float | None = None
    ends_task: bool = False
    pushes_result: bool = True

    def __post_init__(self) -> None:
        BaseTrigger.__init__(self)
        if isinstance(self.grain, (int, float)):
            self.grain = timedelta(seconds=self.grain)
        self._context: Mapping[str, Any] = {}
        self._missing = self._where = ""
        self._notes = Notes(self.told)
        self._render_error: str | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path, and the arguments to make the trigger again."""
        return _serialized(self)

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Called by Airflow 3.3 when the task starts in the triggerer; only here is the run known.

        :meth:`run` reports errors of this: to Airflow a trigger that breaks is a deferral that failed, for which
        ``soft_fail`` would skip the task.
        """
        self._context = context
        try:
            super().render_template_fields(context, jinja_env)
        except Exception as error:
            self._render_error = f"A template cannot be rendered: {error!r}"

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield one event that says how the wait ended."""
        resumable_at = time.monotonic() + (RESUME_NOT_BEFORE if self._comes_from_worker() else 0)
        event = await self._outcome()
        if not isinstance(event, TaskSuccessEvent):
            await asyncio.sleep(max(0.0, resumable_at - time.monotonic()))
        yield event

    async def _outcome(self) -> TriggerEvent:
        if self._render_error is not None:
            return TriggerEvent({"status": "failed", "code": "no_template", "message": self._render_error})
        try:
            wait = wait_of_run(self._context, self, self._began_at())
            async with self._linked(wait):
                poller = await poller_of(self.partition_registry_conn_id)
                result = await self._until_ready(wait, poller)
        except (RegistryError, AirflowNotFoundException) as error:
            told = _told(error, self.partition_registry_conn_id)
            self.log.error("%s", told)
            code = getattr(error, "code", "no_connection")
            return TriggerEvent({"status": "failed", "code": code, "message": told})
        if result is None:
            return TriggerEvent({"status": "timeout", "message": self._missing})
        if not self.ends_task:
            return TriggerEvent({"status": "ready", "result": result})
        if self.pushes_result and self.task_instance is not None:
            await push_result(self.task_instance, result)
        return TaskSuccessEvent()

    async def _until_ready(self, wait: Wait | ConditionWait, poller: Poller) -> Any:
        """The result, or None when the time is over; ``_missing`` then says what was missing.

        The first question is always asked, as a busy triggerer may come to it late.
        """
        try:
            async with asyncio.timeout(None) as limit:
                async with aclosing(wait.news(poller, self.poll_interval)) as updates:
                    async for news in updates:
                        if (result := self._take(news, wait)) is not None:
                            return result
                        del news  # ten thousand wait, and an explanation is a dozen objects or more
                        limit.reschedule(_loop_time(self._deadline()))
        except TimeoutError:
            self.log.info("Time is over.")
        return None

    @asynccontextmanager
    async def _linked(self, wait: Wait | ConditionWait) -> AsyncIterator[None]:
        """Store the task's link meanwhile, unless a worker has. Many who start at once do not queue up for it."""
        if self._comes_from_worker():
            yield
            return
        first = wait.questions[0]
        path = timeline_path(self.partition_registry_conn_id, first.source_name, first.interval)
        self._where = in_words(path)
        storing = asyncio.create_task(store_link_from_trigger(self.task_instance, path))
        try:
            yield
        except asyncio.CancelledError:
            storing.cancel()
            raise
        finally:
            with suppress(asyncio.CancelledError):
                await storing

    def _take(self, news: News, wait: Wait | ConditionWait) -> Any:
        if news.answers is None:
            self._missing = _told(news.trouble, self.partition_registry_conn_id)
            if told := self._notes.take_trouble(self._missing):
                self.log.warning("%s", told)
            return None
        result = wait.result(news.answers)
        self._missing = wait.explain(news.answers)
        told = self._notes.take(self._missing, self._where) if result is None else self._missing
        if told:
            self.log.info("%s", told)
        return result

    def _comes_from_worker(self) -> bool:
        return self.deadline is not None

    def _began_at(self) -> datetime:
        """When the wait began: not when this process took it over from another triggerer."""
        deadline = self._deadline()
        if deadline is None or self.timeout is None:
            return datetime.now(UTC)
        return deadline - timedelta(seconds=self.timeout)

    def _deadline(self) -> datetime | None:
        timeout_after = getattr(self, "timeout_after", None)  # set by Airflow 3.3
        if self.deadline is not None or timeout_after is None:
            return _to_datetime(self.deadline)
        return to_instant(timeout_after) - timedelta(seconds=TIMEOUT_MARGIN)


@dataclass(kw_only=True, eq=False, repr=False)
class PartitionLockTrigger(BaseTrigger):
    """Wait until no other lock is in the way. The waiting operator then tries again to take the lock.

    :param partition_registry_conn_id: the Airflow connection of the registry.
    :param source_name: the source that the partition belongs to.
    :param provider_name: who supplies it.
    :param start: first instant of the partition, ISO 8601.
    :param end: first instant after it, ISO 8601.
    :param holder: identity of the holder that wants the lock.
    :param exclusive: whether overlapping locks of other providers are in the way as well.
    :param poll_interval: seconds between two questions at most; notifications only shorten it.
    :param deadline: ISO 8601; when to give up, or None.
    """

    partition_registry_conn_id: str
    source_name: str
    provider_name: str
    start: str
    end: str
    holder: str
    exclusive: bool = False
    poll_interval: float = 60.0
    deadline: str | None = None

    def __post_init__(self) -> None:
        BaseTrigger.__init__(self)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path, and the arguments to make the trigger again."""
        return _serialized(self)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield one event; when the time is over, the operator tries once more and says why it cannot."""
        key = PartitionKey(self.source_name, self.provider_name, Interval(self.start, self.end))
        await asyncio.sleep(RESUME_NOT_BEFORE)
        try:
            poller = await poller_of(self.partition_registry_conn_id)
            async with asyncio.timeout(_seconds_until(_to_datetime(self.deadline))):
                await self._until_free(key, poller)
        except TimeoutError:
            self.log.info("Time is over.")
        except (RegistryError, AirflowNotFoundException) as error:
            told = _told(error, self.partition_registry_conn_id)
            self.log.error("%s", told)
            yield TriggerEvent({"status": "failed", "message": told})
            return
        # Not as an argument of the deferral, which dag.test() drops.
        yield TriggerEvent({"status": "try_again", "deadline": self.deadline})

    async def _until_free(self, key: PartitionKey, poller: Poller) -> None:
        question = Question(key.source_name, key.interval)
        async with aclosing(poller.updates([question], self.poll_interval)) as updates:
            async for news in updates:
                if news.trouble is not None:
                    told = _told(news.trouble, self.partition_registry_conn_id)
                    self.log.warning("Still waiting. %s", told)
                elif self._is_free(key, news):
                    return

    def _is_free(self, key: PartitionKey, news: News) -> bool:
        (answer,) = news.answers or ()
        if not isinstance(answer, Readiness):
            return True
        found = conflicts(answer.blockers, key, Holder(self.holder), self.exclusive)
        return all(blocker.state is PartitionState.EXPIRED for blocker in found)


def _told(error: Exception | None, conn_id: str) -> str:
    """What went wrong, with the connection that leads to the registry if it is the registry's failure."""
    if isinstance(error, (StoreRefusedError, StoreUnavailableError)):
        error = of_connection(error, conn_id)
    return str(error)


def _serialized(trigger: PartitionReadinessTrigger | PartitionLockTrigger) -> tuple[str, dict[str, Any]]:
    """The trigger's class and its arguments, ready to be stored as JSON.

    What is as by default is left out, as a triggerer of a former version may not know it.
    """
    kind = type(trigger)
    given = {each.name: (getattr(trigger, each.name), each.default) for each in fields(trigger)}
    arguments = {name: value for name, (value, default) in given.items() if value != default}
    return f"{kind.__module__}.{kind.__qualname__}", {
        name: value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in arguments.items()
    }


def _to_datetime(text: str | None) -> datetime | None:
    return None if text is None else to_instant(text)


def _loop_time(deadline: datetime | None) -> float | None:
    seconds = _seconds_until(deadline)
    return None if seconds is None else asyncio.get_running_loop().time() + seconds


def _seconds_until(deadline: datetime | None) -> float | None:
    return None if deadline is None else max(0.0, (deadline - datetime.now(UTC)).total_seconds())

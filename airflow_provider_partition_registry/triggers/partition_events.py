"""The trigger that tells an asset of what happens in a source: Airflow's event-driven scheduling, across instances.

DAG files that use it are parsed again and again, so what only a running trigger needs is imported when it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    LostPositionError,
    PrunedPositionError,
    RegistryError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.domain.grain_cursor import GrainCursor
from airflow_provider_partition_registry.domain.grain_keys import digest_of, key_of_grain, told_of_grain
from airflow_provider_partition_registry.domain.grains import Grain, check_grain, zone_named
from airflow_provider_partition_registry.domain.intervals import (
    EARLIEST,
    LATEST,
    Instant,
    Interval,
    format_instant,
    to_instant,
)
from airflow_provider_partition_registry.domain.models import Event, EventType, GrainEvent
from airflow_provider_partition_registry.domain.names import check_name
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from airflow_provider_partition_registry.runtime.compat import (
    IS_AIRFLOW_3,
    AirflowNotFoundException,
    BaseEventTrigger,
)
from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID
from airflow_provider_partition_registry.store.listening import back_off

if TYPE_CHECKING:
    from airflow_provider_partition_registry.runtime.asset_cursors import AssetCursors
    from airflow_provider_partition_registry.store.contract import RegistryReader
    from airflow_provider_partition_registry.store.poller import Poller

POLL_INTERVAL = 60.0  # seconds between two looks at a source at most; notifications shorten it
MOST_IN_FLIGHT = 20  # events; a burst would keep the triggerer's supervisor from saying that it is alive
NOW = "now"
ANY_MOMENT = Interval(EARLIEST, EARLIEST + timedelta(microseconds=1))
"""What is asked about: the answers only have to tell that something happened in the source."""


class PartitionEventTrigger(BaseEventTrigger):
    """For an ``AssetWatcher``: an asset event for whatever happens in a source of the registry (Airflow 3).

    .. code-block:: python

        sales = Asset(
            "shop.sales",
            watchers=[AssetWatcher("days", trigger=PartitionEventTrigger("shop.sales", became_ready="day"))],
        )

    With ``became_ready`` the asset has an event for each whole day (hour, ...) that became ready, each once per
    publication, and again, with a greater ``version``, when it was written again (R9). On Airflow versions with
    partitioned assets the event has a partition key, so that a ``PartitionedAssetTimetable`` starts a run for the day.
    Without ``became_ready`` the asset has an event for each event of the source's history; those that cannot end
    anybody's wait (registering, locking, renewing) come within a minute, the others at once.

    On Airflow 3.3, nothing is lost and nothing is repeated, however often triggerers and DAG files are restarted or
    changed: the place that was reached is stored with the asset's event, in one transaction, and belongs to the asset
    and to these parameters but for ``begin``.

    :param source_name: the source to follow. It is waited for if it is not registered yet.
    :param became_ready: "hour", "day", "week", "month", or a timedelta.
    :param timezone: the IANA name of the time zone in which a named grain begins, and of partition keys.
    :param event_types: without ``became_ready``: only events of these types, such as "UNLOCK"; by default all.
    :param provider_name: without ``became_ready``: only events of this provider.
    :param start: only what overlaps ``[start, end)``; naive means UTC.
    :param end: first instant after it.
    :param begin: where a first start begins: "now", or at an instant, from which on everything is told. Later starts go
        on where the former ones were.
    :param partition_registry_conn_id: the Airflow connection of the registry.
    :raises InvalidInputError: a parameter is not valid.
    """

    def __init__(
        self,
        source_name: str,
        *,
        became_ready: Grain | float | None = None,
        timezone: str = "UTC",
        event_types: Collection[str] = (),
        provider_name: str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        begin: Instant = NOW,
        partition_registry_conn_id: str = DEFAULT_CONN_ID,
    ) -> None:
        super().__init__()
        if not IS_AIRFLOW_3:
            raise InvalidInputError(
                "PartitionEventTrigger is for the watchers of assets, which Airflow 2 does not have. Wait with a "
                "PartitionReadinessSensor there."
            )
        grain = timedelta(seconds=became_ready) if isinstance(became_ready, (int, float)) else became_ready
        if grain is not None and (event_types or provider_name):
            raise InvalidInputError(
                "What became ready has no event type and no provider: leave out event_types and provider_name, or "
                "became_ready."
            )
        self.source_name = check_name("source name", source_name)
        self.became_ready = None if grain is None else check_grain(grain)
        self.timezone = timezone
        self.event_types = sorted(_checked_type(each) for each in event_types)
        self.provider_name = None if provider_name is None else check_name("provider name", provider_name)
        self.start = None if start is None else format_instant(to_instant(start))
        self.end = None if end is None else format_instant(to_instant(end))
        self.begin = begin if begin == NOW else format_instant(to_instant(begin))
        self.partition_registry_conn_id = partition_registry_conn_id
        zone_named(timezone)
        self._within = Interval(self.start or EARLIEST, self.end or LATEST)
        self._reached: GrainCursor | None = None
        self._reported = ""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path, and the arguments to make the trigger again; those left out are not among them."""
        grain = self.became_ready
        given = {
            "source_name": self.source_name,
            "became_ready": grain.total_seconds() if isinstance(grain, timedelta) else grain,
            "timezone": self.timezone if self.timezone != "UTC" else None,
            "event_types": self.event_types or None,
            "provider_name": self.provider_name,
            "start": self.start,
            "end": self.end,
            "begin": self.begin if self.begin != NOW else None,
            "partition_registry_conn_id": self.partition_registry_conn_id,
        }
        return f"{__name__}.{type(self).__qualname__}", {
            name: value for name, value in given.items() if value is not None
        }

    @property
    def subscription(self) -> str:
        """A name for what is followed: under it the asset's state store holds the place that was reached."""
        _, given = self.serialize()
        followed = {name: value for name, value in given.items() if name != "begin"}
        return f"partition_registry/{digest_of(followed)}"

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for whatever happens. It never ends by itself, as Airflow would not start it again."""
        from airflow_provider_partition_registry.runtime.asset_cursors import AssetCursors
        from airflow_provider_partition_registry.runtime.connections import poller_of

        cursors = AssetCursors(self.asset_state_store, self.subscription)
        failures = 0
        while True:
            try:
                poller = await poller_of(self.partition_registry_conn_id)
                async with aclosing(self._follow(poller, cursors)) as events:
                    async for event in events:
                        failures = 0
                        self._reported = ""
                        yield event
            except (RegistryError, AirflowNotFoundException) as error:
                self._report(f"The source {self.source_name} is not followed at present. {error}")
            except Exception as error:  # of Airflow's own state store, for example
                self._report(f"The source {self.source_name} is not followed at present. {error!r}")
            failures += 1
            await asyncio.sleep(back_off(failures))

    async def _follow(self, poller: Poller, cursors: AssetCursors) -> AsyncGenerator[TriggerEvent, None]:
        question = Question(self.source_name, ANY_MOMENT)
        async with aclosing(poller.updates([question], POLL_INTERVAL, follows=True)) as updates:
            async for news in updates:
                if news.trouble is not None:
                    self._report(f"Waiting for the registry. {news.trouble}")
                elif not isinstance((news.answers or (None,))[0], Readiness):
                    self._report(f"Waiting for the source {self.source_name} to be registered.")
                else:
                    async with aclosing(self._new(poller, cursors)) as events:
                        async for event in events:
                            yield event

    async def _new(self, poller: Poller, cursors: AssetCursors) -> AsyncGenerator[TriggerEvent, None]:
        """Whatever has happened since the place that was reached; all of it is delivered when this ends."""
        is_more, failures = True, 0
        while is_more:
            try:
                if self._reached is None:
                    self._reached = await self._where_to_begin(poller, cursors)
                portion = await poller.ask(partial(self._read, self._reached))
                failures = 0
            except StoreUnavailableError as error:
                failures += 1
                self._report(f"Waiting for the registry. {error}")
                await asyncio.sleep(back_off(failures))
                continue
            except (PrunedPositionError, LostPositionError, InvalidInputError) as error:
                self._reached = await self._where_it_goes_on(poller, error)
                continue
            for payload in portion.payloads:
                yield TriggerEvent(payload | {"subscription": self.subscription})
            if portion.payloads:
                await cursors.wait_until_delivered(GrainCursor.of(portion.payloads[-1]["cursor"]))
            self._reached, is_more = portion.reached, portion.is_more

    def _report(self, trouble: str) -> None:
        """Log what keeps it from following the source, once."""
        if trouble != self._reported:
            self.log.warning("%s", trouble)
        self._reported = trouble

    async def _where_to_begin(self, poller: Poller, cursors: AssetCursors) -> GrainCursor:
        stored = await cursors.read()
        if stored is not None:
            return stored
        begin = GrainCursor(await poller.ask(self._first_position))
        # At once, so that a restart before the first event does not begin later.
        await cursors.write(begin)
        return begin

    def _first_position(self, reader: RegistryReader) -> int:
        from airflow_provider_partition_registry.store.finding import position_before

        if self.begin == NOW:
            return reader.last_position()
        return position_before(reader, self.source_name, to_instant(self.begin))

    async def _where_it_goes_on(self, poller: Poller, error: RegistryError) -> GrainCursor:
        """After a restored backup, or pruning, there is no telling what was missed: say so, and go on."""
        self.log.error(
            "The history of %s does not hold the place any more that was reached. %s It is followed again from where "
            "it goes on. To start runs for days that may have been missed: partition-registry replay",
            self.source_name,
            error,
        )
        if isinstance(error, PrunedPositionError):
            return GrainCursor(error.pruned_to)
        return GrainCursor(await poller.ask(lambda reader: reader.last_position()))

    def _read(self, after: GrainCursor, reader: RegistryReader) -> _Portion:
        if self.became_ready is None:
            return self._read_events(after, reader)
        page = reader.grain_events(
            self.source_name, self.became_ready, self.timezone, after=str(after), limit=MOST_IN_FLIGHT
        )
        wanted = [each for each in page.items if each.interval.overlaps(self._within)]
        payloads = [self._of_grain(each) for each in wanted]
        return _Portion(payloads, GrainCursor.of(page.reached), page.next is not None)

    def _read_events(self, after: GrainCursor, reader: RegistryReader) -> _Portion:
        page = reader.events(after.last_whole, self.source_name, MOST_IN_FLIGHT)
        reached = GrainCursor(page.items[-1].position) if page.items else after
        payloads = [_of_event(each) for each in page.items if self._is_wanted(each)]
        return _Portion(payloads, reached, page.next is not None)

    def _is_wanted(self, event: Event) -> bool:
        if self.event_types and event.type.value not in self.event_types:
            return False
        if self.provider_name not in (None, event.provider_name):
            return False
        return event.interval is None or event.interval.overlaps(self._within)

    def _of_grain(self, told: GrainEvent) -> dict[str, Any]:
        assert self.became_ready is not None
        key = key_of_grain(told.interval, self.became_ready, self.timezone)
        return told_of_grain(told) | {"partition_key": key}


@dataclass(frozen=True, slots=True)
class _Portion:
    """What is delivered together."""

    payloads: list[dict[str, Any]]
    reached: GrainCursor
    is_more: bool


def _of_event(event: Event) -> dict[str, Any]:
    interval = event.interval
    return {
        "source_name": event.source_name,
        "type": event.type.value,
        "provider_name": event.provider_name,
        "start": format_instant(interval.start) if interval else None,
        "end": format_instant(interval.end) if interval else None,
        "holder": event.holder,
        "generation": event.generation,
        "details": dict(event.details),
        "at": format_instant(event.at),
        "version": event.position,
        "cursor": str(event.position),
    }


def _checked_type(name: str) -> str:
    if name not in EventType.__members__:
        raise InvalidInputError(f"An event type is one of {', '.join(EventType)}, not {name!r}.")
    return str(name)

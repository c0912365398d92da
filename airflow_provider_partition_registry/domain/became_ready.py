"""What an event tells about what became ready, so that anybody can derive from it which days, hours, ... did (R9).

Whoever changes partitions has the source's ready intervals (R1) before and after the change at hand, and adds to the
last freeing event, or the last lock, of the change:

- ``ready``: the ready intervals, in their whole length, that overlap what the change published or no longer blocks,
- ``freed``: what that was, if it is not just the event's own interval,
- ``was_ready``: the ready intervals, in their whole length, that a lock interrupted. Giving the lock back without
  having written makes them ready again, and nothing new.
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_partition_registry.domain.intervals import Interval, format_ends, overlapping
from airflow_provider_partition_registry.domain.models import Event, EventType

READY, FREED, WAS_READY = "ready", "freed", "was_ready"
EFFECTS = (READY, FREED, WAS_READY)
"""The keys of an event's details that are meant for programs."""

FREEING_EVENTS = frozenset({EventType.UNLOCK, EventType.RELEASE, EventType.FORCE_RELEASE, EventType.WITHDRAW})
"""The events by which something may become ready."""


def tell_of_freed(freed: Sequence[Interval], ready: Sequence[Interval], own: Interval) -> dict[str, str]:
    """The details of a freeing event. All intervals are disjoint and in order.

    :param freed: what was published or is no longer blocked.
    :param ready: the source's ready intervals around it, as they are now.
    :param own: the event's own interval.
    """
    left = overlapping(ready, freed)
    if not left:
        return {}
    told = {READY: _to_text(left)}
    return told if tuple(freed) == (own,) else told | {FREED: _to_text(freed)}


def tell_of_blocked(blocked: Sequence[Interval], ready: Sequence[Interval]) -> dict[str, str]:
    """The details of a lock. All intervals are disjoint and in order.

    :param blocked: what is blocked now.
    :param ready: the source's ready intervals around it, as they were before.
    """
    interrupted = overlapping(ready, blocked)
    return {WAS_READY: _to_text(interrupted)} if interrupted else {}


def ready_after(event: Event) -> Sequence[Interval]:
    """The ready intervals that an event left where it freed something; none unless it is a freeing event."""
    return _intervals(event, READY) if event.type in FREEING_EVENTS else ()


def was_ready_before(lock: Event) -> Sequence[Interval]:
    """The ready intervals that a lock interrupted."""
    try:
        return _intervals(lock, WAS_READY)
    except ValueError:  # Under former versions, holders could have details of any name.
        return ()


def freed_by(event: Event) -> Sequence[Interval]:
    """What a freeing event published or unblocked."""
    return _intervals(event, FREED) or ((event.interval,) if event.interval else ())


def is_news_since(earlier: Event, interval: Interval) -> bool | None:
    """Whether anything was published in an interval, which is ready again, since all of it was ready before.

    Asked of the events before a release, the newest first.

    :param earlier: a lock or a freeing event of the source.
    :return: None if this event does not tell, so that an earlier one has to be asked.
    """
    if earlier.type is EventType.LOCK:
        return False if _contain(was_ready_before(earlier), interval) else None
    if not any(each.overlaps(interval) for each in freed_by(earlier)):
        return None
    if _contain(ready_after(earlier), interval):  # It was told of then, or was not new then either.
        return False
    return None if earlier.type is EventType.RELEASE else True


def _contain(ready: Sequence[Interval], interval: Interval) -> bool:
    return any(each.contains(interval) for each in ready)


def _to_text(intervals: Sequence[Interval]) -> str:
    return " ".join(map(format_ends, intervals))


def _intervals(event: Event, name: str) -> Sequence[Interval]:
    pairs = (each.split("/") for each in event.details.get(name, "").split())
    return tuple(Interval(start, end) for start, end in pairs)

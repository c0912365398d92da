"""What was rewritten after it was read, in words (R7)."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_partition_registry.domain.display import in_one_line
from airflow_provider_partition_registry.domain.explanation import SHOWN_AT_MOST
from airflow_provider_partition_registry.domain.intervals import Interval, format_to_the_second
from airflow_provider_partition_registry.domain.models import REWRITING_EVENTS, Event, EventType
from airflow_provider_partition_registry.domain.questions import Readiness

_HAPPENED = {
    EventType.LOCK: "was locked",
    EventType.UNLOCK: "was published",
    EventType.FAIL: "was marked as failed",
    EventType.RELEASE: "was released as it was before",
    EventType.FORCE_RELEASE: "was taken from its holder",
    EventType.INVALIDATE: "was declared bad",
    EventType.WITHDRAW: "was withdrawn",
}


def rewrites(event: Event, interval: Interval) -> bool:
    """Whether data in the interval may have changed with this event (R7)."""
    return (
        event.type in REWRITING_EVENTS
        and event.interval is not None
        and event.interval.start < interval.end
        and event.interval.end > interval.start
    )


def explain_rewriting(answer: Readiness, events: Sequence[Event]) -> str:
    """Say in several lines what was rewritten after an answer, by whom and when.

    :param events: those that rewrote it; without any, one line says only that it was rewritten.
    """
    lines = [_in_words(each) for each in events[:SHOWN_AT_MOST]]
    if len(events) > SHOWN_AT_MOST:
        lines.append(f"and {len(events) - SHOWN_AT_MOST} more events")
    first = f"Rewritten after event {answer.as_of}: {answer.question}{':' if lines else '.'}"
    return "\n  ".join([first, *lines])


def _in_words(event: Event) -> str:
    by = event.details.get("by") or event.holder
    reason = event.details.get("reason")
    return in_one_line(
        f"{event.interval} of provider {event.provider_name!r} {_HAPPENED[event.type]}"
        f"{f' by {by}' if by else ''} at {format_to_the_second(event.at)}{f': {reason}' if reason else ''}"
    )

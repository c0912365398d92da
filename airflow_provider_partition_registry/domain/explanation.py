"""A readiness answer in words, the same for logs, the command line, the web service and its pages."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_partition_registry.domain.display import in_one_line
from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.intervals import (
    Interval,
    difference,
    format_instant,
    format_to_the_second,
)
from airflow_provider_partition_registry.domain.models import Partition, PartitionState
from airflow_provider_partition_registry.domain.questions import Answer, Readiness
from airflow_provider_partition_registry.domain.wording import describe_lock

SHOWN_AT_MOST = 10
LOG_URL = "log_url"
"""The key in a holder's details under which its log is found."""


def explain(answer: Answer, shown_at_most: int = SHOWN_AT_MOST) -> str:
    """Say in one line that it is ready or the source is unknown, or in several lines why it is not ready."""
    if isinstance(answer, UnknownSourceError):
        return str(answer)
    if answer.is_ready:
        return f"Ready: {answer.question} (as of event {answer.as_of})."
    return "\n  ".join([f"Not ready: {answer.question}:", *reasons(answer, shown_at_most)])


def explain_partial(answer: Readiness, ready: str, shown_at_most: int = SHOWN_AT_MOST) -> str:
    """Say in several lines how much of an interval is ready, and why the rest is not.

    :param ready: how much of it is ready, as people write it.
    """
    head = f"Partly ready: {ready} of {answer.question} (as of event {answer.as_of}). What is missing:"
    return "\n  ".join([head, *reasons(answer, shown_at_most)])


def reasons(readiness: Readiness, shown_at_most: int = SHOWN_AT_MOST) -> list[str]:
    """Every reason why it is not ready, one line each; beyond ``shown_at_most`` of a kind they are only counted."""
    # A blocker's line says which interval it covers; listing that as a gap as well would read like two problems.
    unclaimed = difference(readiness.gaps, [blocker.interval for blocker in readiness.blockers])
    lines = [*_listed("nobody has published", unclaimed, shown_at_most)]
    if readiness.stale and readiness.question.published_after:
        since = format_instant(readiness.question.published_after)
        lines += _listed(f"not known to have been published since {since}:", readiness.stale, shown_at_most)
    lines += [in_one_line(_blocker(blocker)) for blocker in readiness.blockers[:shown_at_most]]
    if len(readiness.blockers) > shown_at_most:
        lines.append(f"and {len(readiness.blockers) - shown_at_most} more partitions that block it")
    return lines


def explain_locks(locked: Sequence[Partition], shown_at_most: int = SHOWN_AT_MOST) -> list[str]:
    """Who holds the locks, one line each; beyond ``shown_at_most`` they are only counted."""
    lines = [in_one_line(f"source {each.source_name!r}: {_blocker(each)}") for each in locked[:shown_at_most]]
    if len(locked) > shown_at_most:
        lines.append(f"and {len(locked) - shown_at_most} more locks")
    return lines


def _listed(prefix: str, intervals: Sequence[Interval], shown_at_most: int) -> list[str]:
    if not intervals:
        return []
    shown = ", ".join(str(interval) for interval in intervals[:shown_at_most])
    more = len(intervals) - shown_at_most
    return [f"{prefix} {shown}" + (f" and {more} more" if more > 0 else "")]


def _blocker(partition: Partition) -> str:
    what = f"{partition.interval} of provider {partition.provider_name!r}"
    since = format_to_the_second(partition.changed_at)
    lock = partition.lock
    url = lock.holder.details.get(LOG_URL) if lock else None
    log = f" (log: {url})" if url else ""
    match partition.state:
        case PartitionState.LOCKED if lock:
            return f"{what} is being written by {describe_lock(lock)}{log}"
        case PartitionState.EXPIRED if lock:
            return f"{what} was left locked by {describe_lock(lock)}{log}"
        case _:
            # The reason comes from whichever task behind the lock failed; the log is that of the task that took it.
            log = f" (log of the last lock holder: {url})" if url else ""
            return f"{what} failed at {since}: {partition.reason or 'no reason given'}{log}"

"""How a lock stands, and why a call on it is refused, put into words."""

from __future__ import annotations

from airflow_provider_partition_registry.domain.intervals import format_to_the_second
from airflow_provider_partition_registry.domain.models import LOCKED_STATES, Holder, Lock, Partition


def standing(partition: Partition) -> str:
    """Which state a partition is in, and who holds its lock or since when."""
    if partition.lock and partition.state in LOCKED_STATES:
        how = f", held by {describe_lock(partition.lock)} (generation {partition.generation})"
    else:
        how = f" since {format_to_the_second(partition.changed_at)}"
    return f"{partition.key} is {partition.state.value}{how}"


def describe_lock(lock: Lock) -> str:
    """Who holds a lock, since when and until when, for people."""
    until = f"lease until {format_to_the_second(lock.expires_at)}" if lock.expires_at else "without a lease"
    return f"{lock.holder} since {format_to_the_second(lock.locked_at)}, {until}"


def locked_by_another(wanted: Partition, held: Partition, lock: Lock) -> str:
    """Why a lock is refused (R3).

    :param lock: that of ``held``.
    """
    what = str(held.key)
    why = "" if held.interval == wanted.interval else f", which overlaps {wanted.interval},"
    return (
        f"{what[0].upper()}{what[1:]}{why} is locked by {describe_lock(lock)}. Wait until it is released; "
        f"if its holder is gone, take it away by force (partition-registry force-release)."
    )


def not_theirs(verb: str, partition: Partition, holder: Holder | None, generation: int | None) -> str:
    """Why a caller that is not, or no longer, the holder is refused (R4, R5)."""
    caller = f"generation {generation}" if generation is not None else f"holder {str(holder)!r}"
    return (
        f"Cannot {verb} with {caller}: {standing(partition)}. The lock is not, or no longer, the caller's; lock "
        f"again before writing."
    )


def unknown_before(partition: Partition) -> str:
    """Why a lock cannot be released that an older version took, which recorded no former state."""
    return (
        f"Cannot release: {standing(partition)}, and was locked by an older version, which did not note what the "
        f"partition was before. Publish it (unlock) if its data is good; else say that the write failed (fail)."
    )

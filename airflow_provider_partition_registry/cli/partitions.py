"""Partitions as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_partition_registry.cli.output import without_zeros
from airflow_provider_partition_registry.domain.intervals import format_to_the_second
from airflow_provider_partition_registry.domain.models import LOCKED_STATES, Partition

HEADINGS = ("START", "END", "PROVIDER", "STATE", "SINCE", "GEN", "DETAILS")


def partition_rows(partitions: Sequence[Partition]) -> list[tuple[str | None, ...]]:
    """The cells of each partition, under :data:`HEADINGS`."""
    starts_and_ends = [each.start for each in partitions] + [each.end for each in partitions]
    texts = without_zeros(starts_and_ends)
    starts, ends = texts[: len(partitions)], texts[len(partitions) :]
    return [
        (
            start,
            end,
            each.provider_name,
            each.state.value,
            format_to_the_second(each.changed_at),
            str(each.generation),
            _details(each),
        )
        for each, start, end in zip(partitions, starts, ends, strict=True)
    ]


def _details(partition: Partition) -> str:
    """Why it failed, and who locked it and until when."""
    details = [partition.reason] if partition.reason else []
    lock = partition.lock
    if lock:
        details.append(f"by {lock.holder}")
    if lock and lock.expires_at and partition.state in LOCKED_STATES:
        details.append(f"lease until {format_to_the_second(lock.expires_at)}")
    return "; ".join(details)

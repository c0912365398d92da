"""What may be wrong with a registry, named in stable terms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.store.sql.database.types import from_microseconds

SHOWN_AT_MOST = 5


class DiscrepancyKind(StrEnum):
    """What is wrong. The values are stable: ``partition-registry db verify --json`` prints them."""

    READY_INTERVAL_MISSING = "ready_interval_missing"
    READY_INTERVAL_WRONG = "ready_interval_wrong"
    READY_INTERVAL_SPLIT = "ready_interval_split"
    LENGTH_CLASS_MISSING = "length_class_missing"
    LENGTH_CLASS_WRONG = "length_class_wrong"
    PARTITION_DETAILS = "partition_details"
    PARTITION_HISTORY = "partition_history"
    EVENT_MALFORMED = "event_malformed"
    EVENT_WITHOUT_PARTITION = "event_without_partition"
    HISTORY_COUNTER = "history_counter"
    HISTORY_GAP = "history_gap"
    DANGLING_REFERENCE = "dangling_reference"
    CONSTRAINT_BROKEN = "constraint_broken"
    CONSTRAINT_NOT_IN_FORCE = "constraint_not_in_force"
    INDEX_MISSING = "index_missing"
    TABLE_MISSING = "table_missing"
    FILE_DAMAGED = "file_damaged"


REPAIRABLE = frozenset(
    {
        DiscrepancyKind.READY_INTERVAL_MISSING,
        DiscrepancyKind.READY_INTERVAL_WRONG,
        DiscrepancyKind.READY_INTERVAL_SPLIT,
        DiscrepancyKind.LENGTH_CLASS_MISSING,
        DiscrepancyKind.LENGTH_CLASS_WRONG,
        DiscrepancyKind.HISTORY_COUNTER,
        DiscrepancyKind.INDEX_MISSING,
        DiscrepancyKind.TABLE_MISSING,
    }
)
"""The kinds that follow from other rows and can be recomputed. The rest is lost, and a person has to decide."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One kind of thing that is wrong with one source, however often.

    :param source_name: the source it is about; None if it is about the whole registry.
    :param description: a sentence for people.
    :param count: how many rows or intervals.
    :param examples: the first few of them.
    """

    kind: DiscrepancyKind
    source_name: str | None
    description: str
    count: int
    is_repairable: bool
    examples: tuple[str, ...] = ()

    @property
    def is_history_gap(self) -> bool:
        """Whether it says that events are lost, which only a backup can restore."""
        return self.kind is DiscrepancyKind.HISTORY_GAP


def discrepancy(
    kind: DiscrepancyKind, source_name: str | None, what: str, count: int, examples: Iterable[str] = ()
) -> Discrepancy:
    """Put a finding into words; ``examples`` are the first of ``count``."""
    subject = "Registry" if source_name is None else f"Source {source_name!r}"
    shown = list(examples)
    rest = count - len(shown)
    detail = ", ".join(shown) + (f" and {rest} more" if rest else "") if shown else str(count)
    return Discrepancy(
        kind=kind,
        source_name=source_name,
        description=f"{subject}: {what}: {detail}.",
        count=count,
        is_repairable=kind in REPAIRABLE,
        examples=tuple(shown),
    )


def show_instant(microseconds: int) -> str:
    """An instant as it is stored, for people."""
    return format_instant(from_microseconds(microseconds))

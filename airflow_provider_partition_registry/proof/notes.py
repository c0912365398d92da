"""Notes that the tasks of a run leave for each other as XComs: which lock was taken, and under which lock work began.

Airflow deletes a task's XComs when a new try of it starts, so each note is about the newest try alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Self

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.runtime.compat import pull_all, pull_one

LOCK_NOTE = "partition_registry_lock"
WORK_NOTE = "partition_registry_work"


@dataclass(frozen=True, kw_only=True)
class LockNote:
    """The lock that a task takes: what to ask the registry for.

    :param holder: the identity of the task that takes the lock.
    :param lease: in seconds, or None.
    :param generation: under which it was granted; None if it has not been requested yet.
    """

    conn_id: str
    source_name: str
    provider_name: str
    start: str
    end: str
    holder: str
    map_index: int = -1
    lease: float | None = None
    exclusive: bool = False
    register: bool = True
    generation: int | None = None

    @property
    def interval(self) -> Interval:
        """The partition's interval."""
        return Interval(self.start, self.end)

    @property
    def key(self) -> PartitionKey:
        """Which partition it is about."""
        return PartitionKey(self.source_name, self.provider_name, self.interval)

    @property
    def lease_time(self) -> timedelta | None:
        """The lease as a timedelta."""
        return None if self.lease is None else timedelta(seconds=self.lease)

    def __str__(self) -> str:
        return f"{self.interval} of source {self.source_name!r} (provider {self.provider_name!r})"

    def push(self, ti: Any) -> None:
        """Leave the note for the tasks that follow."""
        ti.xcom_push(key=LOCK_NOTE, value=asdict(self))

    @classmethod
    def all_of(cls, ti: Any, lock: Any) -> list[Self]:
        """The notes that the instances of a lock task left."""
        return [cls(**value) for value in pull_all(ti, lock.task_id, LOCK_NOTE)]

    @classmethod
    def of(cls, ti: Any, lock: Any, map_index: int) -> Self | None:
        """The note that one instance of a lock task left, or None."""
        value = pull_one(ti, lock.task_id, LOCK_NOTE, map_index)
        return None if value is None else cls(**value)


@dataclass(frozen=True, kw_only=True)
class WorkNote:
    """Under which locks a try of a working task began, and whether it came to its end.

    :param generations: the generations of the locks, by their holders.
    """

    map_index: int
    generations: Mapping[str, int] = field(default_factory=dict)
    ended: bool = False

    def push(self, ti: Any) -> None:
        """Leave the note for the unlock."""
        ti.xcom_push(key=WORK_NOTE, value=asdict(self))

    @classmethod
    def of_myself(cls, ti: Any) -> Self | None:
        """The note that this very try has left already, or None."""
        value = pull_one(ti, ti.task_id, WORK_NOTE, -1 if ti.map_index is None else ti.map_index)
        return None if value is None else cls(**value)

    @classmethod
    def all_of(cls, ti: Any, task_id: str) -> dict[int, Self]:
        """The notes that the instances of a task left, by map index."""
        notes = [cls(**value) for value in pull_all(ti, task_id, WORK_NOTE)]
        return {note.map_index: note for note in notes}

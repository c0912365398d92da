"""Notes that the tasks of a run leave for each other as XComs: which locks were taken, and under which work began.

Airflow deletes a task's XComs when a new try of it starts, so each note is about the newest try alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Self

from airflow_provider_partition_registry.domain.grains import split_interval
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.many_requests import MOST_PARTITIONS
from airflow_provider_partition_registry.domain.models import Partition, PartitionKey
from airflow_provider_partition_registry.proof.verdict import Grant
from airflow_provider_partition_registry.runtime.compat import pull_all, pull_one

LOCK_NOTE = "partition_registry_lock"
WORK_NOTE = "partition_registry_work"


@dataclass(frozen=True, kw_only=True)
class LockNote:
    """The lock that a task takes, on one partition or on several that share its fate: what to ask the registry for.

    :param split: the grain of the partitions that the interval consists of, a timedelta in seconds; None for a single
        partition.
    :param timezone: the time zone in which a named grain begins.
    :param holder: the identity of the task that takes the lock.
    :param lease: in seconds, or None.
    :param grant: how it was granted; None if it has not been requested yet.
    """

    conn_id: str
    source_name: str
    provider_name: str
    start: str
    end: str
    holder: str
    split: str | float | None = None
    timezone: str = "UTC"
    map_index: int = -1
    lease: float | None = None
    exclusive: bool = False
    register: bool = True
    grant: Grant | None = None

    @classmethod
    def of_xcom(cls, value: Mapping[str, Any]) -> Self:
        """Read a note as Airflow stored it."""
        return cls(**{**value, "grant": _grant_of(value["grant"])})

    def granted(self, partitions: Iterable[Partition]) -> Grant:
        """The grant of this lock on its partitions, which stand as given."""
        generations = sorted((str(each.key), each.generation) for each in partitions)
        digest = hashlib.sha256(repr(generations).encode()).hexdigest()
        return Grant(str(self), tuple(dict.fromkeys(each for _, each in generations)), digest)

    @property
    def interval(self) -> Interval:
        """What the partitions together cover."""
        return Interval(self.start, self.end)

    @property
    def target(self) -> PartitionKey:
        """Source, provider and the whole interval, by which an unlock finds the note of its lock."""
        return PartitionKey(self.source_name, self.provider_name, self.interval)

    @property
    def keys(self) -> tuple[PartitionKey, ...]:
        """Which partitions it is about.

        :raises InvalidIntervalError: the interval does not consist of whole intervals of the grain.
        :raises InvalidInputError: there are more of them than one call may be about.
        """
        return tuple(PartitionKey(self.source_name, self.provider_name, each) for each in self._intervals())

    def _intervals(self) -> list[Interval]:
        if self.split is None:
            return [self.interval]
        grain = timedelta(seconds=self.split) if isinstance(self.split, (int, float)) else self.split
        return split_interval(self.interval, grain, self.timezone, at_most=MOST_PARTITIONS)

    @property
    def lease_time(self) -> timedelta | None:
        """The lease as a timedelta."""
        return None if self.lease is None else timedelta(seconds=self.lease)

    def __str__(self) -> str:
        by_grain = "" if self.split is None else f" in {len(self.keys):,} partitions"
        return f"{self.interval} of source {self.source_name!r} (provider {self.provider_name!r}){by_grain}"

    def push(self, ti: Any) -> None:
        """Leave the note for the tasks that follow."""
        ti.xcom_push(key=LOCK_NOTE, value=asdict(self))

    @classmethod
    def all_of(cls, ti: Any, lock: Any) -> list[Self]:
        """The notes that the instances of a lock task left."""
        return [cls.of_xcom(value) for value in pull_all(ti, lock.task_id, LOCK_NOTE)]

    @classmethod
    def of(cls, ti: Any, lock: Any, map_index: int) -> Self | None:
        """The note that one instance of a lock task left, or None."""
        value = pull_one(ti, lock.task_id, LOCK_NOTE, map_index)
        return None if value is None else cls.of_xcom(value)


@dataclass(frozen=True, kw_only=True)
class WorkNote:
    """Under which locks a try of a working task began, and whether it came to its end.

    :param grants: the locks, by their holders.
    """

    map_index: int
    grants: Mapping[str, Grant] = field(default_factory=dict)
    ended: bool = False

    @classmethod
    def of_xcom(cls, value: Mapping[str, Any]) -> Self:
        """Read a note as Airflow stored it."""
        grants = {holder: Grant(**each) for holder, each in value["grants"].items()}
        return cls(map_index=value["map_index"], grants=grants, ended=value["ended"])

    def push(self, ti: Any) -> None:
        """Leave the note for the unlock."""
        ti.xcom_push(key=WORK_NOTE, value=asdict(self))

    @classmethod
    def of_myself(cls, ti: Any) -> Self | None:
        """The note that this very try has left already, or None."""
        value = pull_one(ti, ti.task_id, WORK_NOTE, -1 if ti.map_index is None else ti.map_index)
        return None if value is None else cls.of_xcom(value)

    @classmethod
    def all_of(cls, ti: Any, task_id: str) -> dict[int, Self]:
        """The notes that the instances of a task left, by map index."""
        notes = [cls.of_xcom(value) for value in pull_all(ti, task_id, WORK_NOTE)]
        return {note.map_index: note for note in notes}


def _grant_of(value: Mapping[str, Any] | None) -> Grant | None:
    return None if value is None else Grant(**value)

"""What is done in a soak: who writes, waits and follows, how much, and when something is broken on purpose."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey

PROVIDER = "loader"
FIRST_START = datetime(2026, 1, 1, tzinfo=UTC)
LENGTH = timedelta(minutes=1)
DATABASE, SERVICE = "database", "service"
WAYS = (DATABASE, SERVICE)
"""The two ways to the registry: its PostgreSQL, and the web service behind the load balancer."""
ONE_IN_SO_MANY = 10


class Following(NamedTuple):
    """What an event stream follows.

    :param source: the number of a source; None for all of them.
    :param is_timed: whether it notes when publications arrive. A tenth of the streams do, as noting takes longer than
        receiving.
    """

    source: int | None
    is_timed: bool


@dataclass(frozen=True)
class Plan:
    """What is done.

    :param minutes: from the first write to the last.
    :param sources: written to in turns, each by a writer of its own.
    :param waits: triggers that wait at any time; half of them each way, as many for each source.
    :param streams: open event streams. One in ten follows all sources, the others one each.
    :param rate: partitions locked and unlocked a second.
    """

    minutes: float = 30.0
    sources: int = 50
    waits: int = 2_000
    streams: int = 500
    rate: float = 20.0

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what :meth:`to_json` wrote."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """As text, for the processes that take part."""
        return json.dumps(asdict(self))

    @property
    def seconds(self) -> float:
        """From the first write to the last."""
        return self.minutes * 60

    @property
    def partitions(self) -> int:
        """How many are published in all."""
        return math.ceil(self.seconds * self.rate)

    @property
    def ahead(self) -> int:
        """How many partitions of a source are waited for at any time, each of them both ways."""
        return self.waits // (self.sources * len(WAYS))

    def due(self, source: int, number: int) -> float:
        """When a partition is to be locked, in seconds after the beginning."""
        return (number * self.sources + source) / self.rate

    def followings(self) -> Iterator[Following]:
        """What each of the streams follows."""
        for number in range(self.streams):
            tens, ones = divmod(number, ONE_IN_SO_MANY)
            if ones == 0:
                yield Following(None, is_timed=tens % ONE_IN_SO_MANY == 0)
            else:
                of_one_source = tens * (ONE_IN_SO_MANY - 1) + ones - 1
                yield Following(of_one_source % self.sources, is_timed=of_one_source < self.sources)

    @property
    def restart_at(self) -> float:
        """When PostgreSQL is restarted, in seconds after the beginning, as the following."""
        return self.seconds / 4

    @property
    def kills_at(self) -> tuple[float, float]:
        """When each of the two services is killed."""
        return self.seconds / 2, self.seconds * (1 / 2 + 1 / 15)

    @property
    def frozen(self) -> tuple[float, float]:
        """From when until when a writer is frozen."""
        return self.seconds * 3 / 4, self.seconds * (3 / 4 + 1 / 30)

    @property
    def frozen_source(self) -> int:
        """The source whose writer it is; it is one that others write to through the service."""
        return 0


def way_of_writer(source: int) -> str:
    """How a source's writer reaches the registry."""
    return SERVICE if source % 2 == 0 else DATABASE


def source_name(source: int) -> str:
    """The name of a source."""
    return f"soak-{source:02}"


def key_of(source: int, number: int) -> PartitionKey:
    """The partition with this number, which begins where the one before ends."""
    start = FIRST_START + number * LENGTH
    return PartitionKey(source_name(source), PROVIDER, Interval(start, start + LENGTH))


def number_of(start: datetime) -> int:
    """The number of the partition that begins then."""
    return (start - FIRST_START) // LENGTH

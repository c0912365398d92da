"""Writers that act at random on overlapping partitions of several providers."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow_provider_partition_registry.domain.errors import PartitionStateError, StoreUnavailableError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Partition, PartitionKey, PartitionState
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.contract.homes import hours

PLACES = [hours(start, end) for start in range(6) for end in (start + 1, start + 3)] + [hours(0, 6)]
WHY: dict[str, Any] = {"reason": "storm", "by": "ann"}


@dataclass
class Writer:
    """One writer that acts at random until it is told to stop or runs out of steps.

    :param sources: the sources it writes to.
    :param lease: that of the locks it takes; it forgets some of these.
    """

    store: RegistryStore
    name: str
    sources: tuple[str, ...] = ("s",)
    lease: timedelta | None = None
    steps: int = 40
    stop: threading.Event = field(default_factory=threading.Event)
    acknowledged: list[Partition] = field(default_factory=list)
    unavailable: int = 0

    def __call__(self) -> list[Partition]:
        mind = random.Random(self.name)
        for _ in range(self.steps):
            if self.stop.is_set():
                break
            try:
                self.act(mind, mind.choice(self.sources), f"p{mind.randrange(4)}", mind.choice(PLACES))
            except StoreUnavailableError:
                self.unavailable += 1
            except PartitionStateError:
                pass
        return self.acknowledged

    def act(self, mind: random.Random, source: str, provider: str, interval: Interval) -> None:
        """Lock, and end the lock in one of many ways."""
        place = PartitionKey(source, provider, interval)
        self.note(
            self.store.lock(
                place, holder=self.name, exclusive=mind.random() < 0.2, register=True, lease=self.lease
            )
        )
        if self.lease is not None and mind.random() < 0.2:
            return  # as if it had died: somebody else has to take over
        generation = self.acknowledged[-1].generation
        endings: list[Callable[[], Any]] = [
            *[lambda: self.store.unlock(place, generation=generation)] * 6,
            lambda: self.store.fail(place, generation=generation, reason="storm"),
            lambda: self.store.release(place, generation=generation),
            lambda: self.store.force_release(place, **WHY),
            lambda: self.store.force_release(place, to=PartitionState.READY, **WHY),
            lambda: self.store.withdraw(place, **WHY),
        ]
        self.note(mind.choice(endings)())
        if mind.random() < 0.1:
            self.note(self.store.invalidate(place, **WHY))

    def note(self, partition: Partition) -> None:
        self.acknowledged.append(partition)


def started(works: list[Callable[[], Any]]) -> tuple[list[threading.Thread], list[BaseException]]:
    """Run all in threads of their own; returns the threads, and the errors that they have raised so far."""
    leaked: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:
            leaked.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads, leaked

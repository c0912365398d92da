"""A writer at speed, readers at speed, and a standby whose replay stops again and again."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from airflow_provider_partition_registry.store import host_clock
from tests.contract.standbys import KEY, Pair, Registry, in_step_with, pair

pytestmark = pytest.mark.postgres

PAUSES = 6


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    with pair() as servers:
        yield servers


@dataclass
class Race:
    """One writer locks and publishes a partition, while readers accept answers of a certain age.

    :param acknowledged: when the writer was told of each change, its position, and whether it made the partition ready.
    :param wrong: answers that there must not be.
    :param distances: how many positions each answer was behind what had been acknowledged when it was asked for.
    """

    registry: Registry
    max_age: int
    acknowledged: list[tuple[float, int, bool]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    distances: list[int] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def write(self) -> None:
        chance = random.Random(7)
        while not self.is_over.is_set():
            self.registry.store.lock(KEY)
            self._note(is_ready=False)
            self.is_over.wait(chance.random() / 50)
            self.registry.store.unlock(KEY)
            self._note(is_ready=True)

    def read(self) -> None:
        while not self.is_over.is_set():
            asked_at = host_clock.now()
            answer = self.registry.ask(self.max_age)
            if answer.as_of < self._acknowledged_by(asked_at - self.max_age):
                self.wrong.append(f"position {answer.as_of} is too old at {asked_at}")
            self.distances.append(self._acknowledged_by(asked_at) - answer.as_of)
            was_ready = {position: is_ready for _, position, is_ready in tuple(self.acknowledged)}
            if answer.is_ready is not was_ready.get(answer.as_of, answer.is_ready):
                self.wrong.append(f"position {answer.as_of} is called ready: {answer.is_ready}")

    def _note(self, *, is_ready: bool) -> None:
        at = host_clock.now()
        position = self.registry.store.check_readiness(KEY.source_name, KEY.interval).as_of
        self.acknowledged.append((at, position, is_ready))

    def _acknowledged_by(self, moment: float) -> int:
        return max((position for at, position, _ in tuple(self.acknowledged) if at <= moment), default=0)


@pytest.mark.parametrize("max_age", [1, 2])
def test_whatever_was_acknowledged_earlier_is_in_the_answer(servers: Pair, max_age: int) -> None:
    with in_step_with(servers, f"race_{max_age}") as registry:
        race = Race(registry, max_age)
        threads = [threading.Thread(target=each) for each in (race.write, race.read, race.read)]
        for each in threads:
            each.start()
        try:
            chance = random.Random(11)
            for _ in range(PAUSES):
                with servers.replay_paused():
                    race.is_over.wait(chance.random() * 2 * max_age)
                race.is_over.wait(chance.random() / 2)
        finally:
            race.is_over.set()
            for each in threads:
                each.join()
        assert race.wrong == []
        assert {"standby", "primary"} == set(registry.answered_by)
        assert max(race.distances) > 0  # Answers may be older than the present, and some were.

"""Questions asked together are answered for one moment (R2), even if others write between the reader's statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.contract.base import ContractBase
from tests.contract.homes import MIDNIGHT, Home, hours

EVER = MIDNIGHT.replace(year=2000)
FILLERS = 1_000
"""Questions that keep two others far apart, however many are sent in one statement."""


@dataclass
class Seesaw:
    """Two partitions that are ready and locked in turns, so that never both are ready.

    :param ready_at: which of them is ready, by each position of the history that a turn has led to.
    """

    store: RegistryStore
    ready: PartitionKey
    locked: PartitionKey
    ready_at: dict[int, PartitionKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for place in (self.ready, self.locked):
            self.store.lock(place, register=True)
        self.turn()

    def turn(self) -> None:
        """Lock the one that is ready, then publish the other one."""
        self.store.lock(self.ready)
        self.store.unlock(self.locked)
        self.ready, self.locked = self.locked, self.ready
        self.ready_at[self.store.last_position()] = self.ready


A, B = PartitionKey("s", "p", hours(0, 1)), PartitionKey("other", "r", hours(1, 2))
ASKED = {
    "plain": (Question("s", hours(0, 1)), Question("other", hours(1, 2))),
    "fresh": (Question("s", hours(0, 1), EVER), Question("other", hours(1, 2), EVER)),
    "fresh and plain": (Question("s", hours(0, 1), EVER), Question("other", hours(1, 2))),
    "plain and fresh": (Question("s", hours(0, 1)), Question("other", hours(1, 2), EVER)),
}


class MomentContract(ContractBase):
    @contextmanager
    def turning(self, home: Home, seesaw: Seesaw) -> Iterator[None]:
        """Let the seesaw turn before each of the reader's statements except the first."""
        assert home.interrupted is not None
        with home.interrupted(seesaw.turn):
            yield

    @pytest.mark.parametrize("explain", [True, False], ids=["explained", "unexplained"])
    @pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
    def test_what_was_never_ready_together_is_never_called_so(
        self, home: Home, store: RegistryStore, asked: tuple[Question, Question], explain: bool
    ) -> None:
        self.ask_in_turns(home, store, *asked, explain=explain)

    @pytest.mark.parametrize("explain", [True, False], ids=["explained", "unexplained"])
    def test_what_was_never_ready_together_is_never_called_so_in_a_large_batch(
        self, home: Home, store: RegistryStore, explain: bool
    ) -> None:
        fillers = [Question("s", hours(10 + hour, 11 + hour)) for hour in range(FILLERS)]
        self.ask_in_turns(home, store, *ASKED["plain and fresh"], explain=explain, fillers=fillers)
        self.ask_in_turns(home, store, *ASKED["plain"], explain=explain, fillers=fillers)

    def ask_in_turns(
        self,
        home: Home,
        store: RegistryStore,
        *asked: Question,
        explain: bool,
        fillers: Sequence[Question] = (),
    ) -> None:
        assert home.writer is not None
        seesaw = Seesaw(home.writer, A, B)
        for first, last in (asked, asked[::-1]):
            with self.turning(home, seesaw):
                answers = store.check_readiness_many([first, *fillers, last], explain=explain)
            assert [answers[0].is_ready, answers[-1].is_ready].count(True) == 1
            if explain:
                assert [len(answers[0].blockers), len(answers[-1].blockers)].count(1) == 1

    @pytest.mark.parametrize("resolution", [400, 1], ids=["listed", "in slots"])
    def test_a_timeline_shows_one_moment(self, home: Home, store: RegistryStore, resolution: int) -> None:
        assert home.writer is not None
        seesaw = Seesaw(home.writer, PartitionKey("s", "p", hours(0, 1)), PartitionKey("s", "q", hours(1, 2)))
        for _ in range(2):
            with self.turning(home, seesaw):
                drawn = store.timeline("s", hours(0, 2), resolution)
            expected = seesaw.ready_at[drawn.as_of]
            assert [each.interval for each in drawn.ready] == [expected.interval]
            states = {each.provider_name: each.state for each in drawn.partitions}
            assert PartitionState.LOCKED in states.values()
            states |= {lane.provider_name: mark.state for lane in drawn.lanes for mark in lane.marks}
            assert [name for name in states if states[name] is PartitionState.READY] == [
                expected.provider_name
            ]

"""A store and the oracle side by side: each is told the same, and their answers are compared."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from airflow_provider_partition_registry.domain.errors import (
    PartitionLockedError,
    RegistryError,
)
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    Event,
    GrainEvent,
    Holder,
    Partition,
    PartitionKey,
)
from airflow_provider_partition_registry.domain.principals import Provider
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from tests.contract.homes import Home, span_of
from tests.grain_oracle import GrainOracle, effects_of
from tests.oracle import Answer, Key, Oracle, Refused

_runs = itertools.count(1)
DECISION: dict[str, Any] = {"reason": "wrong numbers", "by": "ann"}


class AgreeingMachine(RuleBasedStateMachine):
    """Every run works on sources and providers of its own, so that many runs can share one home."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self.home, self.store, self.clock = home, home.store, home.clock
        self.oracle = Oracle()
        self.grains = GrainOracle(timedelta(hours=2))
        self.tokens: dict[str, str] = {}
        self.run = next(_runs)
        self.begin = self.store.check_readiness_many([])  # opens the home
        self.seen: list[Event] = []
        self.cursor = self.first = self.store.last_position()
        self.grains_seen: list[GrainEvent] = []
        self.grains_reached: dict[str, str] = {}
        self.readings: list[tuple[str, Interval, int, int]] = []

    def name(self, short: str) -> str:
        return f"{short}-{self.run}"

    def id_of(self, access_token: str) -> str:
        return self.store.identify_token(access_token).id

    def key(self, source: str, provider: str, interval: Interval) -> Key:
        return self.name(source), self.name(provider), span_of(interval)

    def take(
        self, key: Key, interval: Interval, *, holder: Holder | str | None = None, **options: Any
    ) -> None:
        name, about = (holder.identity, holder.details) if isinstance(holder, Holder) else (holder, {})
        self.both(
            lambda: self.store.lock(PartitionKey(key[0], key[1], interval), holder=holder, **options),
            lambda: self.oracle.lock(key, self.clock.now, name, about_holder=about, **options),
        )

    def prolong(self, key: Key, interval: Interval, number: int, lease: timedelta) -> None:
        self.both(
            lambda: self.store.renew(PartitionKey(key[0], key[1], interval), generation=number, lease=lease),
            lambda: self.oracle.renew(key, self.clock.now, number, lease),
        )

    def declare(self, verb: str, key: Key, interval: Interval) -> None:
        self.both(
            lambda: getattr(self.store, verb)(PartitionKey(key[0], key[1], interval), **DECISION),
            lambda: getattr(self.oracle, verb)(key, self.clock.now, **DECISION),
        )

    def finish(self, key: Key, interval: Interval, verb: str = "unlock", **proof: Any) -> None:
        self.both(
            lambda: getattr(self.store, verb)(PartitionKey(key[0], key[1], interval), **proof),
            lambda: getattr(self.oracle, verb)(key, self.clock.now, **proof),
        )

    def generation(self, key: Key, which: str) -> int | None:
        record = self.oracle.partitions.get(key)
        present = record.generation if record else 0
        return {"none": None, "present": present, "older": present - 1, "newer": present + 1}[which]

    def both(
        self,
        act: Callable[[], Any],
        expect: Callable[[], object],
        compare: Callable[[Any], None] | None = None,
    ) -> None:
        """Let the store act as the oracle expects.

        :param compare: compares the store's answer with the oracle; by default as a partition.
        """
        refused = done = None
        before, lines = effects_of(self.oracle), len(self.oracle.lines)
        try:
            expect()
        except Refused as error:
            refused = error
        self.grains.observe(self.oracle, before, self.oracle.lines[lines:])
        try:
            done = act()
        except RegistryError as error:
            _compare_refusals(error, refused)
        else:
            assert refused is None, f"done, although the rules say {refused}"
            (compare or self.compare_partition)(done)

    def compare_provider(self, provider: Provider) -> None:
        granted = sorted(source for name, source in self.oracle.grants if name == provider.name)
        assert list(provider.source_names) == granted

    def compare_partitions(self, partitions: list[Partition]) -> None:
        for each in partitions:
            self.compare_partition(each)

    def compare_partition(self, partition: Partition) -> None:
        record = self.oracle.partitions[key_of(partition)]
        assert partition.state.value == record.state_at(self.clock.now)
        assert partition.generation == record.generation
        assert partition.published_at == record.published
        assert partition.reason == record.reason
        assert partition.released_by == record.released_by
        if record.holder is None:
            assert partition.lock is None
        else:
            lock = partition.lock
            assert (lock.holder.identity, lock.expires_at, lock.exclusive, lock.generation) == (
                record.holder,
                record.expires,
                record.exclusive,
                record.generation,
            )

    def compare(self, asked: Question, answer: Any) -> None:
        assert isinstance(answer, Readiness)
        expected = self.oracle.readiness(
            asked.source_name, span_of(asked.interval), self.clock.now, asked.published_after
        )
        told = Answer(
            answer.is_ready,
            [span_of(each) for each in answer.gaps],
            {key_of(each): each.state.value for each in answer.blockers},
            [span_of(each) for each in answer.stale],
        )
        assert told == expected, f"asked about {asked}"
        assert len(answer.blockers) == len(expected.blockers)
        if self.seen:
            of_source = [each.position for each in self.seen if each.source_name == asked.source_name]
            assert answer.as_of >= max(of_source, default=0)


def key_of(partition: Partition) -> Key:
    return partition.source_name, partition.provider_name, span_of(partition.interval)


def _compare_refusals(error: RegistryError, refused: Refused | None) -> None:
    assert refused is not None, f"refused, against the rules: {error}"
    assert error.code == refused.code
    if isinstance(error, PartitionLockedError):
        assert key_of(error.partition) in refused.because_of
        assert error.partition.lock is not None

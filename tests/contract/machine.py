"""Random histories, applied to a store and to the oracle; after every step both must agree on everything."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from airflow_provider_partition_registry.domain.errors import (
    InvalidTokenError,
    PartitionLockedError,
    RegistryError,
)
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    Event,
    Holder,
    Partition,
    PartitionKey,
    PartitionState,
)
from airflow_provider_partition_registry.domain.principals import Principal, PrincipalKind, Provider
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from tests.contract.homes import Home, all_events, hours, span_of
from tests.oracle import Answer, Key, Line, Oracle, Refused

_runs = itertools.count(1)

HOURS = range(5)
GRID = [hours(start, end) for start in HOURS for end in HOURS if start < end]
PROVIDERS = ("p0", "p1", "p2")
SOURCES = ("s0", "s1")
GRANTS = (("p0", "s0"), ("p1", "s0"), ("p0", "s1"))

sources = st.sampled_from(("s0", "s0", "s0", "s1"))
providers = st.sampled_from(("p0", "p0", "p1", "p1", "p2"))
intervals = st.sampled_from(GRID)
anywhere = st.tuples(st.integers(-60, 300), st.integers(1, 240)).map(
    lambda minutes: hours(minutes[0] / 60, sum(minutes) / 60)
)
holders = st.sampled_from((None, None, "dag/run/task", "other"))
# Holders with helpful details, with details that imitate the registry's own, and without details.
TALKATIVE = Holder("dag/run/task", {"host": "h1", "try_number": "2"})
BOASTFUL = Holder("other", {"exclusive": "no", "expires_at": "never", "took_over_from": "you"})
takers = st.sampled_from((None, None, TALKATIVE, BOASTFUL, "other"))
DECISION: dict[str, Any] = {"reason": "wrong numbers", "by": "ann"}
leases = st.sampled_from((None, None, timedelta(hours=1), timedelta(hours=2)))
generations = st.sampled_from(("none", "present", "present", "older", "newer"))
flags = st.sampled_from((False, False, True))


class RegistryMachine(RuleBasedStateMachine):
    """Every run works on sources and providers of its own, so that many runs can share one home."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self.home, self.store, self.clock = home, home.store, home.clock
        self.oracle = Oracle()
        self.tokens: dict[str, str] = {}
        self.run = next(_runs)
        self.begin = self.store.check_readiness_many([])  # opens the home
        self.seen: list[Event] = []
        self.cursor = self.first = self.store.last_position()
        self.readings: list[tuple[str, Interval, int, int]] = []

    @initialize()
    def register(self) -> None:
        for source in SOURCES:
            name, owner = self.name(source), f"team {source}"
            self.tokens[source] = self.store.register_source(name, owner).access_token
            self.oracle.register_source(name, self.clock.now, owner, self.id_of(self.tokens[source]))
        self.give_grants()

    @rule()
    def give_grants(self) -> None:
        """Give the missing grants: at first all, later those that were revoked."""
        for provider, source in GRANTS:
            names = self.name(provider), self.name(source)
            if names not in self.oracle.grants:
                own = self.store.register_provider(names[0], self.tokens[source]).access_token
                self.oracle.register_provider(*names, self.clock.now, self.id_of(own) if own else None)

    @rule(source=sources, provider=providers)
    def revoke_grant(self, source: str, provider: str) -> None:
        names = self.name(provider), self.name(source)
        self.both(
            lambda: self.store.revoke_grant(names[1], names[0], **DECISION),
            lambda: self.oracle.revoke_grant(*names, self.clock.now, **DECISION),
            self.compare_provider,
        )

    @rule(source=sources)
    def rotate_token(self, source: str) -> None:
        issued = self.store.rotate_token(Principal(PrincipalKind.SOURCE, self.name(source)))
        self.oracle.rotate_token(self.name(source), self.clock.now, issued.token.id)
        with pytest.raises(InvalidTokenError):
            self.store.register_provider(self.name("p2"), self.tokens[source])
        self.tokens[source] = issued.access_token

    @rule(source=sources, provider=providers, interval=intervals)
    def register_partition(self, source: str, provider: str, interval: Interval) -> None:
        key = self.key(source, provider, interval)
        self.both(
            lambda: self.store.register_partition(PartitionKey(key[0], key[1], interval)),
            lambda: self.oracle.register_partition(*key, self.clock.now),
        )

    @rule(
        source=sources,
        provider=providers,
        interval=intervals,
        holder=takers,
        lease=leases,
        exclusive=flags,
        register=st.sampled_from((True, True, True, False)),
    )
    def lock(self, source: str, provider: str, interval: Interval, **options: Any) -> None:
        self.take(self.key(source, provider, interval), interval, **options)

    @rule(data=st.data(), holder=takers, lease=leases, exclusive=flags)
    def lock_again(self, data: st.DataObject, **options: Any) -> None:
        self.take(*self.some_partition(data), **options)

    @rule(source=sources, provider=providers, interval=intervals)
    def rewrite(self, source: str, provider: str, interval: Interval) -> None:
        self.lock(source, provider, interval, register=True)
        record = self.oracle.partitions.get(self.key(source, provider, interval))
        if record and record.state == "locked":
            self.finish(record.key, interval, holder=record.holder)

    @rule(data=st.data(), generation=generations, lease=leases.filter(bool))
    def renew(self, data: st.DataObject, generation: str, lease: timedelta) -> None:
        key, interval = self.some_partition(data)
        self.prolong(key, interval, self.generation(key, generation) or 0, lease)

    @rule(
        data=st.data(),
        verb=st.sampled_from(("unlock", "release")),
        holder=holders,
        generation=generations,
    )
    def end(self, data: st.DataObject, verb: str, holder: str | None, generation: str) -> None:
        key, interval = self.some_partition(data)
        self.finish(key, interval, verb, holder=holder, generation=self.generation(key, generation))

    @rule(data=st.data())
    def unlock_as_holder(self, data: st.DataObject) -> None:
        key, interval = self.some_partition(data)
        record = self.oracle.partitions.get(key)
        self.finish(key, interval, holder=record.holder if record else None)

    @rule(data=st.data(), holder=holders, generation=generations)
    def fail(self, data: st.DataObject, holder: str | None, generation: str) -> None:
        key, interval = self.some_partition(data)
        options: dict[str, Any] = {
            "reason": "disk full",
            "holder": holder,
            "generation": self.generation(key, generation),
        }
        self.both(
            lambda: self.store.fail(PartitionKey(key[0], key[1], interval), **options),
            lambda: self.oracle.fail(key, self.clock.now, **options),
        )

    @rule(data=st.data(), holder=takers, lease=leases, exclusive=flags, times=st.integers(1, 2))
    def lock_and_release(self, data: st.DataObject, times: int, **options: Any) -> None:
        key, interval = self.some_partition(data)
        for _ in range(times):
            self.take(key, interval, **options)
        self.finish(key, interval, "release", generation=self.generation(key, "present"))

    @rule(
        source=sources,
        provider=providers,
        some=st.lists(intervals, min_size=2, max_size=5, unique=True),
        verb=st.sampled_from(("register", "lock", "lock", "unlock", "unlock", "fail", "release")),
        holder=holders,
        lease=leases,
        register=st.booleans(),
    )
    def many(
        self,
        source: str,
        provider: str,
        some: list[Interval],
        verb: str,
        holder: str | None,
        lease: timedelta | None,
        register: bool,
    ) -> None:
        """Change several partitions in one call: as one after the other, but all or none."""
        keys = [self.key(source, provider, each) for each in some]
        options: dict[str, Any] = {} if verb == "register" else {"holder": holder}
        options |= {"lease": lease, "register": register} if verb == "lock" else {}
        options |= {"reason": "disk full"} if verb == "fail" else {}

        def expect() -> None:
            before = deepcopy((self.oracle.partitions, self.oracle.lines))
            try:
                for key in keys:
                    if verb == "register":
                        self.oracle.register_partition(*key, self.clock.now)
                    else:
                        getattr(self.oracle, verb)(key, self.clock.now, **options)
            except Refused:
                self.oracle.partitions, self.oracle.lines = before
                raise

        self.both(
            lambda: getattr(self.store, f"{verb}_many")(
                [PartitionKey(key[0], key[1], each) for key, each in zip(keys, some, strict=True)], **options
            ),
            expect,
            self.compare_partitions,
        )

    @rule(data=st.data(), to=st.sampled_from((PartitionState.FAILED, PartitionState.READY)))
    def force_release(self, data: st.DataObject, to: PartitionState) -> None:
        key, interval = self.some_partition(data)
        self.both(
            lambda: self.store.force_release(PartitionKey(key[0], key[1], interval), to=to, **DECISION),
            lambda: self.oracle.force_release(key, self.clock.now, to=to.value, **DECISION),
        )

    @rule(data=st.data(), verb=st.sampled_from(("invalidate", "withdraw")))
    def decide(self, data: st.DataObject, verb: str) -> None:
        key, interval = self.some_partition(data)
        self.declare(verb, key, interval)

    @rule(source=sources, interval=intervals)
    def lose(self, source: str, interval: Interval) -> None:
        """Renew too late, be taken over, publish, declare bad: a sequence that chance rarely produces."""
        key, lease = self.key(source, "p0", interval), timedelta(minutes=30)
        around = Interval(interval.start - timedelta(minutes=1), interval.end)
        self.take(key, interval, holder="loser", lease=lease, register=True)
        self.prolong(key, interval, self.generation(key, "present") or 0, lease * 2)
        self.clock.advance(lease * 2)
        self.take(self.key(source, "p0", around), around, holder=BOASTFUL, lease=lease, register=True)
        self.clock.advance(lease)
        self.take(self.key(source, "p0", around), around, holder="next", lease=lease)
        self.clock.advance(lease)
        self.take(key, interval, holder=TALKATIVE)
        self.finish(key, interval, holder=TALKATIVE.identity)
        self.declare("invalidate", key, interval)

    @rule(source=sources, interval=intervals)
    def take_over_and_release(self, source: str, interval: Interval) -> None:
        """A partition whose lock was taken over does not go back to its former state."""
        key, lease = self.key(source, "p0", interval), timedelta(minutes=30)
        self.take(key, interval, holder="loser", lease=lease, register=True)
        self.clock.advance(lease)
        self.take(key, interval, holder="next")
        self.finish(key, interval, "release", holder="next")

    @rule(minutes=st.sampled_from((1, 60, 61, 120, -1, -90)))
    def wait(self, minutes: int) -> None:
        """Let time pass; clocks sometimes step back."""
        self.clock.advance(timedelta(minutes=minutes))

    @rule(source=sources, interval=anywhere, ago=st.integers(0, 4))
    def ask(self, source: str, interval: Interval, ago: int) -> None:
        asked = Question(self.name(source), interval, self.clock.now - timedelta(hours=ago))
        self.compare(asked, *self.store.check_readiness_many([asked]))
        answer = self.store.check_readiness(self.name(source), interval)
        self.readings.append((self.name(source), interval, answer.as_of, len(self.oracle.lines)))

    @rule(prefix=st.sampled_from((None, "dag/")))
    def list_locks(self, prefix: str | None) -> None:
        partitions = [
            each
            for source in self.oracle.sources
            for each in self.store.list_partitions(source, limit=1000).items
        ]
        locked = [each for each in partitions if self.oracle.partitions[_key(each)].state == "locked"]
        mine = [each for each in locked if each.lock.holder.identity.startswith(prefix or "")]
        before = min((each.id for each in partitions), default=2**62) - 1  # earlier runs have left locks, too
        found = self.store.list_locks(prefix, before, 1000).items
        assert list(found) == sorted(mine, key=lambda each: each.id)

    @rule()
    def verify(self) -> None:
        """Verify, not after every step, as it reads the histories of all earlier runs as well."""
        if self.home.verify:
            assert self.home.verify() == []

    @invariant()
    def readiness_agrees(self) -> None:
        an_hour_ago = self.clock.now - timedelta(hours=1)
        questions = [
            Question(self.name("s0"), interval, after) for after in (None, an_hour_ago) for interval in GRID
        ]
        if self.oracle.sources:
            for asked, answer in zip(questions, self.store.check_readiness_many(questions), strict=True):
                self.compare(asked, answer)

    @invariant()
    def partitions_agree(self) -> None:
        for source in self.oracle.sources:
            listed = self.store.list_partitions(source, limit=1000).items
            assert {_key(each): each.state.value for each in listed} == {
                record.key: record.state_at(self.clock.now) for record in self.oracle.of_source(source)
            }
            for each in listed:
                self.compare_partition(each)

    @invariant()
    def derived_rows_agree(self) -> None:
        if self.home.stored_ready_spans:
            for source in self.oracle.sources:
                assert self.home.stored_ready_spans(source) == self.oracle.ready_spans(source, self.clock.now)

    @invariant()
    def history_agrees(self) -> None:
        self.seen += all_events(self.store, self.cursor)
        if self.seen:
            self.cursor = self.seen[-1].position
        positions = [each.position for each in self.seen]
        assert positions == sorted({each for each in positions if each > self.first})
        assert _in_order([_line(each) for each in self.seen]) == _in_order(self.oracle.lines)

    @invariant()
    def changes_since_a_reading_agree(self) -> None:
        for source, interval, as_of, lines in self.readings[-3:]:
            expected = self.oracle.changed_since(source, span_of(interval), lines)
            assert self.store.changed_since(source, interval, as_of) is expected

    # Helpers

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

    def some_partition(self, data: st.DataObject) -> tuple[Key, Interval]:
        """A partition, nearly always one that exists."""
        known = sorted(self.oracle.partitions)
        key: Key
        if known and data.draw(st.integers(0, 19)) > 0:
            key = data.draw(st.sampled_from(known))
        else:
            key = self.key(data.draw(sources), data.draw(providers), data.draw(intervals))
        return key, Interval(*key[2])

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
        try:
            expect()
        except Refused as error:
            refused = error
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
        record = self.oracle.partitions[_key(partition)]
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
            {_key(each): each.state.value for each in answer.blockers},
            [span_of(each) for each in answer.stale],
        )
        assert told == expected, f"asked about {asked}"
        assert len(answer.blockers) == len(expected.blockers)
        if self.seen:
            of_source = [each.position for each in self.seen if each.source_name == asked.source_name]
            assert answer.as_of >= max(of_source, default=0)


def _key(partition: Partition) -> Key:
    return partition.source_name, partition.provider_name, span_of(partition.interval)


def _line(event: Event) -> Line:
    span = span_of(event.interval) if event.interval else None
    place = event.source_name, event.provider_name, span
    return Line(event.type.value, event.at, *place, event.holder, event.generation, dict(event.details))


def _compare_refusals(error: RegistryError, refused: Refused | None) -> None:
    assert refused is not None, f"refused, against the rules: {error}"
    assert error.code == refused.code
    if isinstance(error, PartitionLockedError):
        assert _key(error.partition) in refused.because_of
        assert error.partition.lock is not None


def _in_order(lines: list[Line]) -> list[Line]:
    """The failures that one take-over causes have no order among themselves: sort runs of FAIL lines."""
    ordered: list[Line] = []
    for is_failure, some in itertools.groupby(lines, lambda line: line.type == "FAIL"):
        run = list(some)
        ordered += (
            sorted(run, key=lambda line: (line.source, line.provider, line.span)) if is_failure else run
        )
    return ordered

"""Random histories, applied to a store and to the oracle; after every step both must agree on everything."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from airflow_provider_partition_registry.domain.became_ready import FREED, FREEING_EVENTS, READY, WAS_READY
from airflow_provider_partition_registry.domain.errors import (
    InvalidTokenError,
)
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    Event,
    Holder,
    PartitionKey,
    PartitionState,
)
from airflow_provider_partition_registry.domain.principals import Principal, PrincipalKind
from airflow_provider_partition_registry.domain.questions import Question
from tests.contract.agreeing import DECISION, AgreeingMachine, key_of
from tests.contract.homes import all_events, hours, span_of
from tests.oracle import Key, Line, Refused

HOURS = range(5)
GRID = [hours(start, end) for start in HOURS for end in HOURS if start < end]
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
BOASTFUL = Holder(
    "other",
    {
        "exclusive": "no",
        "expires_at": "never",
        "took_over_from": "you",
        "was_ready": "always",
        "ready": "yes",
    },
)
takers = st.sampled_from((None, None, TALKATIVE, BOASTFUL, "other"))
leases = st.sampled_from((None, None, timedelta(hours=1), timedelta(hours=2)))
generations = st.sampled_from(("none", "present", "present", "older", "newer"))
flags = st.sampled_from((False, False, True))


class RegistryMachine(AgreeingMachine):
    """Random calls and questions."""

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

    @rule(source=sources, held=intervals, written=intervals)
    def publish_beside_a_lock(self, source: str, held: Interval, written: Interval) -> None:
        """What became ready is told when the lock is given back."""
        key = self.key(source, "p0", held)
        self.take(key, held, holder="other", register=True)
        self.rewrite(source, "p1", written)
        self.finish(key, held, "release", holder="other")

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
        locked = [each for each in partitions if self.oracle.partitions[key_of(each)].state == "locked"]
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
            assert {key_of(each): each.state.value for each in listed} == {
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
    def what_became_ready_agrees(self) -> None:
        """Compare what is told as it happens; it comes after the history, whose positions it needs."""
        for source in self.oracle.sources:
            page = self.store.grain_events(
                source, self.grains.length, after=self.grains_reached.get(source, self.first)
            )
            self.grains_seen += page.items
            self.grains_reached[source] = page.reached
        positions = [each.position for each in self.seen]
        seen = [
            (each.source_name, span_of(each.interval), bisect_right(positions, each.version))
            for each in self.grains_seen
        ]
        assert sorted(seen) == sorted(self.grains.told)

    @invariant()
    def changes_since_a_reading_agree(self) -> None:
        for source, interval, as_of, lines in self.readings[-3:]:
            expected = self.oracle.changed_since(source, span_of(interval), lines)
            assert self.store.changed_since(source, interval, as_of) is expected

    def some_partition(self, data: st.DataObject) -> tuple[Key, Interval]:
        """A partition, nearly always one that exists."""
        known = sorted(self.oracle.partitions)
        key: Key
        if known and data.draw(st.integers(0, 19)) > 0:
            key = data.draw(st.sampled_from(known))
        else:
            key = self.key(data.draw(sources), data.draw(providers), data.draw(intervals))
        return key, Interval(*key[2])


def _line(event: Event) -> Line:
    span = span_of(event.interval) if event.interval else None
    place = event.source_name, event.provider_name, span
    # What a change does to the ready intervals is compared by what can be derived from it.
    effects = (READY, FREED) if event.type in FREEING_EVENTS else (WAS_READY,)
    details = {name: text for name, text in event.details.items() if name not in effects}
    return Line(event.type.value, event.at, *place, event.holder, event.generation, details)


def _in_order(lines: list[Line]) -> list[Line]:
    """The failures that one take-over causes have no order among themselves: sort runs of FAIL lines."""
    ordered: list[Line] = []
    for is_failure, some in itertools.groupby(lines, lambda line: line.type == "FAIL"):
        run = list(some)
        ordered += (
            sorted(run, key=lambda line: (line.source, line.provider, line.span)) if is_failure else run
        )
    return ordered

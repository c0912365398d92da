"""Taking a lock, and finishing the work under it (R3, R4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.models import Holder, LockCounts, PartitionKey, PartitionState
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.contract.base import ContractBase, newest, refused, walk
from tests.contract.homes import NOON, ManualClock, all_events, hours

HOUR = timedelta(hours=1)
WHOLE, PART, NEXT = hours(0, 4), hours(1, 2), hours(4, 8)


def lock(store: RegistryStore, provider: str = "p", interval=WHOLE, **options):
    return store.lock(PartitionKey("s", provider, interval), register=True, **options)


class LockingContract(ContractBase):
    def test_a_lock_names_its_holder(self, store: RegistryStore) -> None:
        holder = Holder("dag/run/task", {"host": "worker-1", "try": "2"})
        partition = lock(store, holder=holder, lease=HOUR, exclusive=True)
        assert (partition.state, partition.generation) == (PartitionState.LOCKED, 1)
        assert partition == store.get_partition(PartitionKey("s", "p", WHOLE))
        taken = partition.lock
        assert (taken.holder, dict(taken.holder.details)) == (holder, {"host": "worker-1", "try": "2"})
        assert (taken.locked_at, taken.expires_at, taken.exclusive, taken.generation) == (
            NOON,
            NOON + HOUR,
            True,
            1,
        )
        assert newest(store).holder == "dag/run/task"
        assert newest(store).details["host"] == "worker-1"

    @pytest.mark.parametrize("lease", [None, HOUR])
    @pytest.mark.parametrize("is_expired", [False, True])
    def test_a_lock_that_its_holder_keeps_stays_as_it_is(
        self, store: RegistryStore, clock: ManualClock, lease: timedelta | None, is_expired: bool
    ) -> None:
        first = lock(store, holder=Holder("me", {"try": "1"}), lease=HOUR)
        clock.advance(2 * HOUR if is_expired else HOUR / 2)
        kept = lock(store, holder=Holder("me", {"try": "2"}), keep=True, exclusive=True, lease=lease)
        assert kept.generation == first.generation
        assert kept.lock.expires_at == (first.lock.expires_at if lease is None else clock.now + HOUR)
        assert (kept.lock.exclusive, dict(kept.lock.holder.details)) == (False, {"try": "1"})
        assert newest(store).type == ("LOCK" if lease is None else "RENEW")
        assert lock(store, holder="me").generation == first.generation + 1

    def test_a_kept_lease_is_renewed_when_a_tenth_of_it_is_over(
        self, store: RegistryStore, clock: ManualClock
    ) -> None:
        first = lock(store, holder="me", lease=HOUR)
        clock.advance(HOUR / 10)
        assert lock(store, holder="me", keep=True, lease=HOUR) == first
        assert newest(store).type == "LOCK"
        clock.advance(timedelta(seconds=1))
        renewed = lock(store, holder="me", keep=True, lease=HOUR)
        assert (newest(store).type, renewed.lock.expires_at) == ("RENEW", clock.now + HOUR)
        longer = lock(store, holder="me", keep=True, lease=2 * HOUR)
        assert longer.lock.expires_at == clock.now + 2 * HOUR

    def test_a_kept_lock_without_a_lease_gets_one(self, store: RegistryStore, clock: ManualClock) -> None:
        lock(store, holder="me")
        assert lock(store, holder="me", keep=True, lease=HOUR).lock.expires_at == clock.now + HOUR

    def test_keeping_takes_a_lock_that_is_not_there(self, store: RegistryStore, clock: ManualClock) -> None:
        assert lock(store, holder="me", keep=True).generation == 1
        store.fail(PartitionKey("s", "p", WHOLE), reason="disk full", holder="me")
        assert lock(store, holder="me", keep=True).generation == 2
        with refused(store, errors.PartitionLockedError):
            lock(store, holder="you", keep=True)
        store.unlock(PartitionKey("s", "p", WHOLE), holder="me")
        assert lock(store, holder="you", keep=True, lease=HOUR).generation == 3
        clock.advance(HOUR)
        assert lock(store, holder="me", keep=True).generation == 4

    def test_somebody_else_is_refused_and_told_who_holds_it(self, store: RegistryStore) -> None:
        lock(store, holder="first", lease=HOUR)
        with refused(store, errors.PartitionLockedError) as caught:
            lock(store, holder="second")
        held = caught.value.partition.lock
        assert (held.holder.identity, held.locked_at, held.expires_at) == ("first", NOON, NOON + HOUR)
        assert all(
            word in str(caught.value) for word in ("first", "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z")
        )

    def test_locks_are_counted(self, store: RegistryStore, clock: ManualClock) -> None:
        assert store.count_locks() == LockCounts(held=0, expired=0)
        lock(store)
        lock(store, "q", interval=NEXT, lease=HOUR)
        store.lock(PartitionKey("other", "r", WHOLE), register=True, lease=2 * HOUR)
        finished = lock(store, "p", interval=NEXT)
        store.unlock(PartitionKey("s", "p", NEXT), generation=finished.generation)
        assert store.count_locks() == LockCounts(held=3, expired=0)
        clock.advance(HOUR)
        assert store.count_locks() == LockCounts(held=2, expired=1)

    def test_locks_are_listed_page_by_page(self, store: RegistryStore, clock: ManualClock) -> None:
        assert store.list_locks().items == ()
        expected = [lock(store, interval=hours(n, n + 1), lease=HOUR if n % 2 else None) for n in range(5)]
        expected.append(store.lock(PartitionKey("other", "r", WHOLE), register=True))
        for end in (store.unlock, store.release):
            lock(store, interval=NEXT)
            end(PartitionKey("s", "p", NEXT))
        assert store.list_locks().items == tuple(expected)
        assert store.list_locks(after=-1).items == tuple(expected)
        pages = walk(lambda after: store.list_locks(after=after, limit=4), "id")
        assert pages == [[each.id for each in expected[:4]], [each.id for each in expected[4:]]]
        clock.advance(HOUR)
        assert [each.state.value for each in store.list_locks(limit=3).items] == [
            "locked",
            "expired",
            "locked",
        ]

    def test_locks_of_holders_with_a_prefix(self, store: RegistryStore) -> None:
        holders = ["a/1/x", "a/1/y", "a/10/x", "A/1/x", "a_1/x", "a%", "ä/1", "b"]
        for n, holder in enumerate(holders):
            lock(store, interval=hours(n, n + 1), holder=holder)

        def found(prefix: str) -> list[str]:
            return [each.lock.holder.identity for each in store.list_locks(prefix).items]

        for prefix in ("a/1/", "a/1", "a", "A", "a_", "_", "%", "a%", "ä", "b", "b/", *holders):
            assert found(prefix) == [each for each in holders if each.startswith(prefix)], prefix
        pages = walk(lambda after: store.list_locks("a/", after, limit=2), "id")
        assert [len(page) for page in pages] == [2, 1]

    @pytest.mark.parametrize("holder", [None, "task", Holder("task")])
    def test_the_same_holder_enters_again_with_a_new_generation(self, store: RegistryStore, holder) -> None:
        assert [lock(store, holder=holder).generation for _ in range(3)] == [1, 2, 3]

    def test_a_caller_without_a_holder_is_the_provider(self, store: RegistryStore) -> None:
        assert lock(store).lock.holder.identity == "p"
        assert lock(store, holder="p").generation == 2

    def test_a_refused_lock_registers_nothing(self, store: RegistryStore) -> None:
        lock(store, holder="first")
        with refused(store, errors.PartitionLockedError):
            lock(store, interval=PART, holder="second")
        with refused(store, errors.UnknownPartitionError):
            store.get_partition(PartitionKey("s", "p", PART))

    @pytest.mark.parametrize(
        ("provider", "interval", "first_exclusive", "second_exclusive", "conflict"),
        [
            ("p", PART, False, False, True),
            ("p", NEXT, False, False, False),
            ("p", NEXT, True, True, False),
            ("q", WHOLE, False, False, False),
            ("q", PART, False, False, False),
            ("q", PART, True, False, True),
            ("q", PART, False, True, True),
            ("q", NEXT, True, True, False),
        ],
    )
    def test_overlapping_locks(
        self, store: RegistryStore, provider, interval, first_exclusive, second_exclusive, conflict
    ) -> None:
        lock(store, holder="first", exclusive=first_exclusive)
        wanted = {
            "provider": provider,
            "interval": interval,
            "holder": "second",
            "exclusive": second_exclusive,
        }
        if not conflict:
            assert lock(store, **wanted).state is PartitionState.LOCKED
            return
        with refused(store, errors.PartitionLockedError) as caught:
            lock(store, **wanted)
        assert caught.value.partition.interval == WHOLE

    def test_one_holder_may_lock_what_overlaps(self, store: RegistryStore) -> None:
        lock(store, holder="me", exclusive=True)
        assert lock(store, interval=PART, holder="me").generation == 1
        assert lock(store, "q", holder="me", exclusive=True).generation == 1

    @pytest.mark.parametrize("end", ["unlock", "fail"])
    def test_a_finished_lock_conflicts_no_more(self, store: RegistryStore, end: str) -> None:
        lock(store, holder="first", exclusive=True)
        getattr(store, end)(
            PartitionKey("s", "p", WHOLE), holder="first", **({"reason": "x"} if end == "fail" else {})
        )
        assert lock(store, "q", PART, holder="second", exclusive=True).generation == 1
        assert lock(store, "p", NEXT, holder="second").generation == 1

    def test_unlock_publishes(self, store: RegistryStore, clock: ManualClock) -> None:
        generation = lock(store).generation
        later = clock.advance(HOUR)
        partition = store.unlock(PartitionKey("s", "p", WHOLE), generation=generation)
        assert (partition.state, partition.published_at, partition.changed_at) == (
            PartitionState.READY,
            later,
            later,
        )
        assert partition.lock.holder.identity == "p"
        assert (newest(store).type, newest(store).generation, newest(store).at) == ("UNLOCK", 1, later)

    def test_fail_names_the_reason(self, store: RegistryStore) -> None:
        lock(store)
        partition = store.fail(PartitionKey("s", "p", WHOLE), reason="disk full")
        assert (partition.state, partition.reason) == (PartitionState.FAILED, "disk full")
        assert partition.published_at is None
        assert newest(store).details["reason"] == "disk full"
        assert lock(store, holder="anyone").reason is None

    @pytest.mark.parametrize("end", ["unlock", "fail"])
    @pytest.mark.parametrize("proof", [{"generation": 1}, {"holder": "me"}])
    def test_repeating_a_finished_call_changes_nothing(self, store, clock, end, proof) -> None:
        lock(store, holder="me")
        finish = {"unlock": {}, "fail": {"reason": "disk full"}}[end]
        first = getattr(store, end)(PartitionKey("s", "p", WHOLE), **proof, **finish)
        events = all_events(store)
        clock.advance(HOUR)
        assert getattr(store, end)(PartitionKey("s", "p", WHOLE), **proof, **finish) == first
        assert all_events(store) == events

    @pytest.mark.parametrize(
        "proof",
        [
            {},
            {"holder": "other"},
            {"generation": 0},
            {"generation": 1},
            {"generation": 3},
            {"generation": -1},
        ],
    )
    @pytest.mark.parametrize("end", ["unlock", "fail"])
    def test_only_the_holder_finishes(self, store: RegistryStore, end: str, proof) -> None:
        lock(store, holder="me")
        lock(store, holder="me")
        reason = {"reason": "x"} if end == "fail" else {}
        with refused(store, errors.NotLockHolderError) as caught:
            getattr(store, end)(PartitionKey("s", "p", WHOLE), **proof, **reason)
        assert caught.value.partition.lock.holder.identity == "me"

    def test_finishing_one_way_and_then_the_other_is_refused(self, store: RegistryStore) -> None:
        lock(store)
        store.unlock(PartitionKey("s", "p", WHOLE), generation=1)
        with refused(store, errors.NotLockHolderError):
            store.fail(PartitionKey("s", "p", WHOLE), generation=1, reason="x")
        lock(store)
        store.fail(PartitionKey("s", "p", WHOLE), generation=2, reason="x")
        with refused(store, errors.NotLockHolderError):
            store.unlock(PartitionKey("s", "p", WHOLE), generation=2)

    def test_unlocking_what_was_never_locked_publishes_it(self, store: RegistryStore) -> None:
        store.register_partition(PartitionKey("s", "p", WHOLE))
        first = store.unlock(PartitionKey("s", "p", WHOLE))
        assert (first.state, first.generation, newest(store).type) == (PartitionState.READY, 0, "UNLOCK")
        events = all_events(store)
        assert store.unlock(PartitionKey("s", "p", WHOLE)) == first
        assert all_events(store) == events

    def test_failing_what_was_never_locked_is_refused(self, store: RegistryStore) -> None:
        store.register_partition(PartitionKey("s", "p", WHOLE))
        with refused(store, errors.NotLockHolderError):
            store.fail(PartitionKey("s", "p", WHOLE), reason="x")

    def test_a_holders_details_cannot_fake_a_take_over(self, store) -> None:
        forger = Holder("me", {"took_over_from": "you", "host": "h"})
        store.lock(PartitionKey("s", "p", WHOLE), holder=forger, register=True)
        assert newest(store).details == {"host": "h"}

    def test_details_do_not_change_after_they_were_checked(self, store) -> None:
        details: dict[str, Any] = {"host": "h"}
        holder = Holder("me", details)
        details["host"] = 7
        store.lock(PartitionKey("s", "p", WHOLE), holder=holder, register=True)
        (blocker,) = store.check_readiness("s", WHOLE).blockers
        assert blocker.lock.holder.details == {"host": "h"}

    @pytest.mark.parametrize("flag", ["exclusive", "register", "keep"])
    def test_a_flag_given_as_text_is_refused(self, store, flag: str) -> None:
        with refused(store, errors.InvalidInputError):
            store.lock(PartitionKey("s", "p", WHOLE), **{flag: "false"})

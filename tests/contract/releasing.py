"""Releasing a lock: nothing was written under it, so the partition is as before (R4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.models import Partition, PartitionKey, PartitionState
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.contract.base import ContractBase, newest, refused
from tests.contract.homes import ManualClock, all_events, hours

HOUR = timedelta(hours=1)
PLACE = PartitionKey("s", "p", hours(0, 4))
AROUND = PartitionKey("s", "p", hours(-1, 5))
WHY: dict[str, Any] = {"reason": "wrong numbers", "by": "ann"}


def was(partition: Partition) -> tuple[object, ...]:
    return partition.state, partition.reason, partition.published_at, partition.changed_at


class ReleasingContract(ContractBase):
    @pytest.fixture(params=["registered", "withdrawn", "failed", "ready"])
    def before(self, store: RegistryStore, clock: ManualClock, request: pytest.FixtureRequest) -> Partition:
        """The partition of ``PLACE`` as it was an hour ago."""
        store.register_partition(PLACE)
        if request.param != "registered":
            store.lock(PLACE, holder="earlier")
        if request.param == "failed":
            store.fail(PLACE, holder="earlier", reason="disk full")
        if request.param == "ready":
            store.unlock(PLACE, holder="earlier")
        if request.param == "withdrawn":
            store.withdraw(PLACE, **WHY)
        clock.advance(HOUR)
        return store.get_partition(PLACE)

    @pytest.mark.parametrize("grants", [1, 3])
    @pytest.mark.parametrize("by", ["holder", "generation"])
    def test_what_is_released_is_as_before(
        self, store, clock, before: Partition, grants: int, by: str
    ) -> None:
        answer_before = store.check_readiness("s", hours(0, 4))
        for _ in range(grants):
            locked = store.lock(PLACE, holder="me", lease=HOUR)
            clock.advance(HOUR)
        proof = {"holder": {"holder": "me"}, "generation": {"generation": locked.generation}}[by]
        released = store.release(PLACE, **proof)
        assert was(released) == was(before)
        assert (released.generation, released.lock, released.released_by) == (locked.generation, None, "me")
        assert store.get_partition(PLACE) == released
        answer = store.check_readiness("s", hours(0, 4))
        assert (answer.is_ready, answer.gaps) == (answer_before.is_ready, answer_before.gaps)
        assert [was(each) for each in answer.blockers] == [was(each) for each in answer_before.blockers]

    def test_its_event_says_what_is_given_back(self, store, clock, before: Partition) -> None:
        store.lock(PLACE, holder="me")
        store.release(PLACE, holder="me")
        event = newest(store)
        assert (event.type, event.holder, event.generation) == ("RELEASE", "me", before.generation + 1)
        assert (event.at, event.details["to"]) == (clock.now, before.state)
        assert event.details.get("reason") == before.reason
        assert ("published_at" in event.details) is (before.state is PartitionState.READY)

    @pytest.mark.parametrize("proof", [{"generation": 2}, {"holder": "me"}])
    def test_repeating_a_release_changes_nothing(self, store, clock, proof) -> None:
        store.lock(PLACE, register=True)
        store.unlock(PLACE)
        store.lock(PLACE, holder="me")
        first = store.release(PLACE, **proof)
        events = all_events(store)
        clock.advance(HOUR)
        assert store.release(PLACE, **proof) == first
        assert all_events(store) == events

    @pytest.mark.parametrize("state", ["registered", "locked", "failed", "ready"])
    @pytest.mark.parametrize("proof", [{}, {"holder": "other"}, {"generation": 0}, {"generation": 2}])
    def test_only_the_holder_releases(self, store: RegistryStore, state: str, proof) -> None:
        store.register_partition(PLACE)
        if state != "registered":
            store.lock(PLACE, holder="me")
        if state == "failed":
            store.fail(PLACE, holder="me", reason="disk full")
        if state == "ready":
            store.unlock(PLACE, holder="me")
        with refused(store, errors.NotLockHolderError):
            store.release(PLACE, **proof)
        if (
            state != "locked"
        ):  # A partition that was finished in another way was not released, even by its holder.
            with refused(store, errors.NotLockHolderError):
                store.release(PLACE, holder="me")

    @pytest.mark.parametrize(
        "proof", [{"generation": 2}, {"holder": "me"}, {"generation": 1}, {"holder": "p"}]
    )
    def test_what_was_released_is_neither_published_nor_failed(self, store, before, proof) -> None:
        store.lock(PLACE, holder="me")
        store.release(PLACE, holder="me")
        for _ in range(2):
            with refused(store, errors.NotLockHolderError):
                store.unlock(PLACE, **proof)
            with refused(store, errors.NotLockHolderError):
                store.fail(PLACE, reason="late", **proof)

    def test_a_slow_holder_whom_nobody_replaced_may_release(self, store, clock, before: Partition) -> None:
        store.lock(PLACE, holder="me", lease=HOUR)
        clock.advance(2 * HOUR)
        assert was(store.release(PLACE, holder="me")) == was(before)

    def test_what_was_taken_over_may_be_half_written(self, store, clock, before: Partition) -> None:
        old = store.lock(PLACE, holder="slow", lease=HOUR)
        clock.advance(HOUR)
        store.lock(PLACE, holder="next")
        with refused(store, errors.NotLockHolderError):
            store.release(PLACE, generation=old.generation)
        released = store.release(PLACE, holder="next")
        assert (released.state, released.published_at) == (PartitionState.FAILED, None)
        assert "slow" in released.reason
        assert not store.check_readiness("s", hours(0, 4)).is_ready

    def test_a_neighbour_that_a_take_over_failed_stays_failed(self, store, clock, before: Partition) -> None:
        store.lock(PLACE, holder="slow", lease=HOUR)
        clock.advance(HOUR)
        store.lock(AROUND, holder="next", register=True)
        assert store.release(AROUND, holder="next").state is PartitionState.REGISTERED
        assert store.get_partition(PLACE).state is PartitionState.FAILED
        store.lock(PLACE, holder="third")
        released = store.release(PLACE, holder="third")
        assert (released.state, "slow" in newest(store).details["reason"]) == ("failed", False)
        assert "lease ran out" in released.reason

    def test_only_what_nobody_else_blocks_is_ready_again(self, store, clock) -> None:
        for place in (PLACE, PartitionKey("s", "q", hours(1, 2))):
            store.lock(place, register=True)
            store.unlock(place)
        store.lock(PLACE)
        store.lock(PartitionKey("s", "q", hours(1, 2)))
        store.release(PLACE)
        assert [each.provider_name for each in store.check_readiness("s", hours(0, 4)).blockers] == ["q"]
        store.release(PartitionKey("s", "q", hours(1, 2)))
        assert store.check_readiness("s", hours(0, 4)).is_ready

    def test_what_is_only_registered_leaves_what_others_published(self, store) -> None:
        store.lock(PartitionKey("s", "q", hours(1, 3)), register=True)
        store.unlock(PartitionKey("s", "q", hours(1, 3)))
        store.lock(PLACE, register=True)
        store.release(PLACE)
        assert store.check_readiness("s", hours(1, 3)).is_ready
        assert store.check_readiness("s", hours(0, 4)).gaps == (hours(0, 1), hours(3, 4))

    def test_data_stay_as_old_as_they_were(self, store, clock) -> None:
        store.lock(PLACE, register=True)
        published_at = store.unlock(PLACE).published_at
        clock.advance(HOUR)
        store.lock(PLACE)
        store.release(PLACE)
        assert store.check_readiness("s", hours(0, 4), published_at).is_ready
        assert store.check_readiness("s", hours(0, 4), clock.now).stale == (hours(0, 4),)

    def test_to_be_locked_counts_as_a_change_even_if_nothing_was_written(self, store) -> None:
        store.lock(PLACE, register=True)
        store.unlock(PLACE)
        as_of = store.check_readiness("s", hours(0, 4)).as_of
        store.lock(PLACE)
        store.release(PLACE)
        assert store.changed_since("s", hours(0, 4), as_of)
        assert not store.changed_since("s", hours(0, 4), store.check_readiness("s", hours(0, 4)).as_of)

    def test_the_next_writer_starts_anew(self, store, before: Partition) -> None:
        store.lock(PLACE, holder="me")
        store.release(PLACE, holder="me")
        locked = store.lock(PLACE, holder="next")
        assert (locked.generation, locked.released_by) == (before.generation + 2, None)
        assert store.unlock(PLACE, generation=locked.generation).state is PartitionState.READY
        with refused(store, errors.NotLockHolderError):
            store.release(PLACE, holder="me")

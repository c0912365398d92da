"""Many partitions in one call: all are changed, or none (R11)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.many_requests import MOST_PARTITIONS
from airflow_provider_partition_registry.domain.models import Partition, PartitionKey, PartitionState
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.contract.base import ContractBase, refused
from tests.contract.homes import NOON, ManualClock, all_events, hours


def keys(*numbers: int, provider_name: str = "p", source_name: str = "s") -> list[PartitionKey]:
    """Partitions of an hour."""
    return [PartitionKey(source_name, provider_name, hours(each, each + 1)) for each in numbers]


MANY: dict[str, Callable[[RegistryStore, list[PartitionKey]], list[Partition]]] = {
    "register": lambda store, some: store.register_many(some),
    "lock": lambda store, some: store.lock_many(some, register=True),
    "unlock": lambda store, some: store.unlock_many(some),
    "fail": lambda store, some: store.fail_many(some, reason="disk full"),
    "release": lambda store, some: store.release_many(some),
}
"""Each call, as it is made with any partitions."""


class ManyContract(ContractBase):
    def test_a_day_is_locked_and_published(self, store: RegistryStore) -> None:
        day = keys(*range(24))
        locked = store.lock_many(day, holder="a", lease=timedelta(hours=1), register=True)
        assert [each.key for each in locked] == day
        assert {(each.state, each.generation, each.lock.expires_at) for each in locked if each.lock} == {
            (PartitionState.LOCKED, 1, NOON + timedelta(hours=1))
        }
        assert len(store.check_readiness("s", hours(0, 24)).blockers) == 24
        published = store.unlock_many(day, generations=[each.generation for each in locked])
        assert [(each.key, each.state) for each in published] == [(key, PartitionState.READY) for key in day]
        assert store.check_readiness("s", hours(0, 24)).is_ready

    def test_each_has_its_own_event_in_the_order_of_the_call(self, store: RegistryStore) -> None:
        before = all_events(store)
        some = keys(2, 0, 1)
        store.lock_many(some, register=True)
        written = all_events(store)[len(before) :]
        assert [(each.type, each.interval) for each in written] == [
            (event_type, key.interval) for key in some for event_type in ("PARTITION_REGISTERED", "LOCK")
        ]

    def test_registered_partitions_are_returned_as_they_can_be_looked_up(self, store: RegistryStore) -> None:
        some = keys(5, 3)
        assert store.register_many(some) == [store.get_partition(each) for each in some]
        assert len({each.id for each in store.list_partitions("s").items}) == 2

    def test_one_that_somebody_else_holds_keeps_all_from_being_locked(self, store: RegistryStore) -> None:
        store.lock(keys(2)[0], holder="b", register=True)
        with refused(store, errors.PartitionLockedError) as caught:
            store.lock_many(keys(0, 1, 2, 3), holder="a", register=True)
        assert caught.value.partition.key == keys(2)[0]
        assert caught.value.message.endswith("So none of the 4 partitions of this call was changed.")
        assert [each.key for each in store.list_partitions("s").items] == keys(2)

    def test_one_that_is_registered_keeps_all_from_being_registered(self, store: RegistryStore) -> None:
        store.register_partition(keys(1)[0])
        with refused(store, errors.PartitionAlreadyRegisteredError):
            store.register_many(keys(0, 1, 2))

    def test_one_old_generation_keeps_all_from_being_published(self, store: RegistryStore) -> None:
        store.lock_many(keys(0, 1, 2), register=True)
        store.lock(keys(1)[0])
        with refused(store, errors.NotLockHolderError):
            store.unlock_many(keys(0, 1, 2), generations=[1, 1, 1])
        store.unlock_many(keys(0, 1, 2), generations=[1, 2, None])
        assert store.check_readiness("s", hours(0, 3)).is_ready

    def test_one_that_is_unknown_keeps_all_from_being_locked(self, store: RegistryStore) -> None:
        store.register_partition(keys(0)[0])
        with refused(store, errors.UnknownPartitionError):
            store.lock_many(keys(0, 1))

    def test_a_finished_call_may_be_repeated(self, store: RegistryStore) -> None:
        store.lock_many(keys(0, 1), register=True)
        published = store.unlock_many(keys(0, 1), generations=[1, 1])
        before = all_events(store)
        assert store.unlock_many(keys(0, 1), generations=[1, 1]) == published
        assert all_events(store) == before

    def test_failed_ones_block_and_released_ones_do_not(self, store: RegistryStore) -> None:
        store.register_many(keys(0, 1, 2, 3))
        store.unlock_many(keys(0, 1, 2, 3))
        store.lock_many(keys(0, 1, 2, 3))
        store.release_many(keys(0, 2))
        store.fail_many(keys(1, 3), reason="disk full")
        told = store.check_readiness("s", hours(0, 4))
        assert [each.key for each in told.blockers] == keys(1, 3)
        assert store.check_readiness("s", hours(2, 3)).is_ready

    def test_what_others_have_published_remains_under_released_ones(self, store: RegistryStore) -> None:
        store.register_partition(PartitionKey("s", "q", hours(0, 10)))
        store.unlock(PartitionKey("s", "q", hours(0, 10)))
        store.lock_many(keys(1, 2, 5), register=True)
        assert store.check_readiness("s", hours(3, 5)).is_ready
        assert not store.check_readiness("s", hours(0, 10)).is_ready
        store.release_many(keys(1, 2, 5))
        assert store.check_readiness("s", hours(0, 10)).is_ready

    def test_those_that_the_holder_has_are_kept_and_the_others_taken(self, store: RegistryStore) -> None:
        store.lock_many(keys(0, 1, 2), holder="me", register=True)
        store.unlock(keys(1)[0], holder="me")
        kept = store.lock_many(keys(0, 1, 2, 3), holder="me", register=True, keep=True)
        assert [each.generation for each in kept] == [1, 2, 1, 1]
        assert {each.state for each in kept} == {PartitionState.LOCKED}

    def test_an_expired_neighbour_is_taken_over_once(self, store: RegistryStore, clock: ManualClock) -> None:
        store.lock(PartitionKey("s", "p", hours(0, 4)), holder="b", lease=timedelta(hours=1), register=True)
        clock.advance(timedelta(hours=2))
        before = all_events(store)
        store.lock_many(keys(0, 2), holder="a", register=True)
        assert [each.type for each in all_events(store)[len(before) :]].count("FAIL") == 1  # type: ignore[arg-type]
        assert store.get_partition(PartitionKey("s", "p", hours(0, 4))).state is PartitionState.FAILED

    @pytest.mark.parametrize("verb", MANY)
    def test_none_are_no_call(self, store: RegistryStore, verb: str) -> None:
        before = all_events(store)
        assert MANY[verb](store, []) == []
        assert all_events(store) == before

    @pytest.mark.parametrize("verb", MANY)
    @pytest.mark.parametrize(
        "some",
        [
            [*keys(0), *keys(1, provider_name="q")],
            [*keys(0), *keys(1, source_name="other")],
            keys(0, 1, 0),
            [*keys(0), None],
            keys(*range(MOST_PARTITIONS + 1)),
        ],
        ids=["two providers", "two sources", "one twice", "no key", "too many"],
    )
    def test_what_is_no_one_call(self, store: RegistryStore, verb: str, some: list[Any]) -> None:
        with refused(store, errors.InvalidInputError):
            MANY[verb](store, some)

    def test_generations_that_are_not_one_for_each(self, store: RegistryStore) -> None:
        store.lock_many(keys(0, 1), register=True)
        with refused(store, errors.InvalidInputError) as caught:
            store.unlock_many(keys(0, 1), generations=[1])
        assert "1 generations are given for 2 partitions" in caught.value.message

    @pytest.mark.parametrize("verb", MANY)
    def test_a_provider_without_a_grant(self, store: RegistryStore, verb: str) -> None:
        with refused(store, errors.NoGrantError):
            MANY[verb](store, keys(0, 1, provider_name="r"))

    @pytest.mark.parametrize("verb", MANY)
    def test_an_unknown_source(self, store: RegistryStore, verb: str) -> None:
        with refused(store, errors.UnknownSourceError):
            MANY[verb](store, keys(0, 1, source_name="nowhere"))

    def test_as_many_as_a_call_takes(self, store: RegistryStore) -> None:
        most = keys(*range(MOST_PARTITIONS))
        whole = Interval(most[0].interval.start, most[-1].interval.end)
        registered = store.register_many(most)
        assert [each.key for each in registered] == most
        assert len({each.id for each in registered}) == MOST_PARTITIONS
        locked = store.lock_many(most, holder="a")
        assert not store.check_readiness("s", whole).is_ready
        store.unlock_many(most, generations=[each.generation for each in locked])
        assert store.check_readiness("s", whole).is_ready

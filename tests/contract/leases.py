"""Leases that run out, are renewed and are taken over (R3, R5)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.contract.base import ContractBase, newest, refused
from tests.contract.homes import NOON, ManualClock
from tests.contract.locking import HOUR, PART, WHOLE, lock


class LeaseContract(ContractBase):
    def test_a_lease_runs_out_to_the_microsecond(self, store: RegistryStore, clock: ManualClock) -> None:
        lock(store, holder="slow", lease=HOUR)
        clock.advance(HOUR - timedelta(microseconds=1))
        assert store.get_partition(PartitionKey("s", "p", WHOLE)).state is PartitionState.LOCKED
        with refused(store, errors.PartitionLockedError):
            lock(store, holder="next")
        clock.advance(timedelta(microseconds=1))
        assert store.get_partition(PartitionKey("s", "p", WHOLE)).state is PartitionState.EXPIRED
        assert not store.check_readiness("s", WHOLE).is_ready

    def test_a_take_over_kills_the_old_generation(self, store: RegistryStore, clock: ManualClock) -> None:
        old = lock(store, holder="slow", lease=HOUR)
        clock.advance(HOUR)
        assert lock(store, holder="next").generation == old.generation + 1
        assert newest(store).details["took_over_from"] == "slow"
        for proof in ({"generation": old.generation}, {"holder": "slow"}):
            with refused(store, errors.NotLockHolderError):
                store.unlock(PartitionKey("s", "p", WHOLE), **proof)

    @pytest.mark.parametrize("proof", [{"generation": 1}, {"holder": "slow"}])
    def test_a_slow_writer_that_nobody_replaced_may_finish(self, store, clock, proof) -> None:
        lock(store, holder="slow", lease=HOUR)
        clock.advance(2 * HOUR)
        assert store.unlock(PartitionKey("s", "p", WHOLE), **proof).state is PartitionState.READY

    def test_an_expired_lock_that_overlaps_fails_when_it_is_taken_over(self, store, clock) -> None:
        old = lock(store, holder="slow", lease=HOUR)
        clock.advance(HOUR)
        lock(store, interval=PART, holder="next")
        lost = store.get_partition(PartitionKey("s", "p", WHOLE))
        assert (lost.state, lost.lock) == (PartitionState.FAILED, None)
        assert (newest(store).type, newest(store).holder, newest(store).interval) == ("FAIL", "slow", WHOLE)
        for proof in ({"generation": old.generation}, {"holder": "slow"}):
            with refused(store, errors.NotLockHolderError):
                store.unlock(PartitionKey("s", "p", WHOLE), **proof)

    def test_an_expired_exclusive_lock_of_another_provider_fails_too(self, store, clock) -> None:
        lock(store, "q", holder="slow", lease=HOUR, exclusive=True)
        clock.advance(HOUR)
        lock(store, "p", PART, holder="next")
        assert (newest(store).type, newest(store).provider_name) == ("FAIL", "q")

    def test_renewing_lets_the_lease_run_from_now_on(self, store: RegistryStore, clock: ManualClock) -> None:
        lock(store, lease=HOUR)
        now = clock.advance(HOUR / 2)
        renewed = store.renew(PartitionKey("s", "p", WHOLE), generation=1, lease=HOUR)
        assert (renewed.lock.expires_at, renewed.generation, newest(store).type) == (now + HOUR, 1, "RENEW")

    def test_no_renewal_shortens_a_lease(self, store: RegistryStore, clock: ManualClock) -> None:
        until = lock(store, lease=HOUR).lock.expires_at
        for back, lease in ((HOUR / 2, HOUR), (timedelta(0), HOUR / 4)):
            clock.advance(-back)
            assert (
                store.renew(PartitionKey("s", "p", WHOLE), generation=1, lease=lease).lock.expires_at == until
            )
        assert newest(store).details["expires_at"] == "2026-03-01T13:00:00Z"
        assert (
            store.renew(PartitionKey("s", "p", WHOLE), generation=1, lease=2 * HOUR).lock.expires_at > until
        )

    def test_a_lock_without_a_lease_gets_one_by_renewal(self, store: RegistryStore) -> None:
        lock(store)
        assert (
            store.renew(PartitionKey("s", "p", WHOLE), generation=1, lease=HOUR).lock.expires_at
            == NOON + HOUR
        )

    def test_an_expired_lock_can_be_renewed_until_it_is_taken_over(self, store, clock) -> None:
        lock(store, holder="slow", lease=HOUR)
        clock.advance(2 * HOUR)
        assert (
            store.renew(PartitionKey("s", "p", WHOLE), generation=1, lease=HOUR).state
            is PartitionState.LOCKED
        )
        clock.advance(2 * HOUR)
        lock(store, holder="next")
        with refused(store, errors.NotLockHolderError):
            store.renew(PartitionKey("s", "p", WHOLE), generation=1, lease=HOUR)

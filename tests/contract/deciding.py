"""Decisions of people: releasing a lock by force, declaring data bad, withdrawing a partition (R6)."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.contract.base import ContractBase, newest, refused
from tests.contract.locking import HOUR, WHOLE, lock

WHY: dict[str, Any] = {"reason": "wrong numbers", "by": "ann"}


class DecisionContract(ContractBase):
    @pytest.mark.parametrize("to", [PartitionState.FAILED, PartitionState.READY])
    def test_force_takes_the_lock(self, store: RegistryStore, to: PartitionState) -> None:
        lock(store, holder="gone")
        released = store.force_release(PartitionKey("s", "p", WHOLE), to=to, **WHY)
        assert (released.state, released.lock, released.generation) == (to, None, 1)
        event = newest(store)
        assert (event.type, event.holder, event.details["reason"], event.details["by"]) == (
            ("FORCE_RELEASE", "gone", "wrong numbers", "ann")
        )
        assert event.details["to"] == to.value
        _assert_dead(store, generation=1, holder="gone")

    def test_force_releases_to_failed_unless_told(self, store: RegistryStore) -> None:
        lock(store)
        assert store.force_release(PartitionKey("s", "p", WHOLE), **WHY).state is PartitionState.FAILED

    def test_invalidated_data_is_failed(self, store: RegistryStore) -> None:
        lock(store)
        store.unlock(PartitionKey("s", "p", WHOLE))
        bad = store.invalidate(PartitionKey("s", "p", WHOLE), **WHY)
        assert (bad.state, bad.lock) == (PartitionState.FAILED, None)
        assert all(word in bad.reason for word in WHY.values())
        assert (newest(store).type, newest(store).details) == ("INVALIDATE", WHY)
        _assert_dead(store, generation=1, holder="p")

    @pytest.mark.parametrize("generation", [None, 0])
    def test_what_was_withdrawn_is_not_published_by_a_call_come_late(self, store, generation) -> None:
        store.register_partition(PartitionKey("s", "p", WHOLE))
        store.unlock(PartitionKey("s", "p", WHOLE))
        store.withdraw(PartitionKey("s", "p", WHOLE), **WHY)
        with refused(store, errors.NotLockHolderError):
            store.unlock(PartitionKey("s", "p", WHOLE), generation=generation)
        store.lock(PartitionKey("s", "p", WHOLE))
        assert store.unlock(PartitionKey("s", "p", WHOLE)).state == "ready"

    @pytest.mark.parametrize("state", ["locked", "expired", "failed", "ready"])
    def test_what_is_withdrawn_is_registered_only(self, store, clock, state: str) -> None:
        lock(store, lease=HOUR if state == "expired" else None)
        if state == "expired":
            clock.advance(HOUR)
        elif state == "failed":
            store.fail(PartitionKey("s", "p", WHOLE), reason="x")
        elif state == "ready":
            store.unlock(PartitionKey("s", "p", WHOLE))
        withdrawn = store.withdraw(PartitionKey("s", "p", WHOLE), **WHY)
        assert (withdrawn.state, withdrawn.lock, withdrawn.published_at) == (
            PartitionState.REGISTERED,
            None,
            None,
        )
        assert not store.check_readiness("s", WHOLE).blockers
        assert newest(store).type == "WITHDRAW"
        _assert_dead(store, generation=1, holder="p")
        assert lock(store, holder="new").generation == 2

    @pytest.mark.parametrize(
        ("verb", "state"),
        [
            ("force_release", "registered"),
            ("force_release", "failed"),
            ("force_release", "ready"),
            ("invalidate", "registered"),
            ("invalidate", "locked"),
            ("invalidate", "failed"),
            ("withdraw", "registered"),
        ],
    )
    def test_decisions_that_the_state_does_not_allow(
        self, store: RegistryStore, verb: str, state: str
    ) -> None:
        store.register_partition(PartitionKey("s", "p", WHOLE))
        if state != "registered":
            lock(store)
        if state == "ready":
            store.unlock(PartitionKey("s", "p", WHOLE))
        if state == "failed":
            store.fail(PartitionKey("s", "p", WHOLE), reason="x")
        with refused(store, errors.PartitionStateError) as caught:
            getattr(store, verb)(PartitionKey("s", "p", WHOLE), **WHY)
        assert caught.value.partition.state == state


def _assert_dead(store: RegistryStore, generation: int, holder: str) -> None:
    """Check that the earlier lock can no longer be used."""
    for proof in ({"generation": generation}, {"holder": holder}):
        with refused(store, errors.NotLockHolderError):
            store.unlock(PartitionKey("s", "p", WHOLE), **proof)
        with refused(store, errors.NotLockHolderError):
            store.fail(PartitionKey("s", "p", WHOLE), reason="late", **proof)
    with refused(store, errors.NotLockHolderError):
        store.renew(PartitionKey("s", "p", WHOLE), generation=generation, lease=HOUR)

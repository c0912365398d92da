"""Holding a lock while code works: renewing, losing and releasing it."""

# ruff: noqa: PT012, SIM117 - what is raised is raised by the end of the block

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, TaskDeferred
from airflow.triggers.testing import SuccessTrigger

from airflow_provider_partition_registry.decorators.partition_registry import write_partition
from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    PartitionLockedError,
)
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.runtime.errors import LockLostError, WriteInterruptedError
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.airflow.held import (
    check_untouched,
    renewals,
    take_away,
    until,
)
from tests.airflow.registries import DAY, THE_DAY, publish, the_partition

pytestmark = pytest.mark.usefixtures("as_task")


class TestEndings:
    def test_published(self, registry: RegistryStore) -> None:
        with write_partition(**DAY) as write:
            locked = the_partition(registry)
            assert locked.state is PartitionState.LOCKED
            assert locked.lock.expires_at - locked.lock.locked_at == timedelta(minutes=5)
            assert locked.lock.holder.identity == "here/a_dag/a_run/a_task"
            address = (write.source_name, write.provider_name, write.interval, write.generation)
            assert address == ("sales", "loader", THE_DAY, 1)
            write.require_lock()
        assert the_partition(registry).state is PartitionState.READY

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("disk full"),
            AirflowFailException("disk full"),
            SystemExit("disk full"),
            KeyboardInterrupt("disk full"),
        ],
    )
    def test_failed(self, error: BaseException, registry: RegistryStore) -> None:
        with pytest.raises(type(error)) as raised, write_partition(**DAY):
            raise error
        assert raised.value is error
        partition = the_partition(registry)
        assert partition.state is PartitionState.FAILED
        assert type(error).__name__ in partition.reason
        assert "disk full" in partition.reason

    def test_released(self, registry: RegistryStore) -> None:
        publish(registry)
        before = the_partition(registry)
        with pytest.raises(AirflowSkipException), write_partition(**DAY):
            raise AirflowSkipException("nothing new")
        after = the_partition(registry)
        assert (after.state, after.published_at) == (PartitionState.READY, before.published_at)

    def test_what_a_killed_try_may_have_written_is_not_released(self, registry: RegistryStore) -> None:
        publish(registry)
        registry.lock(PartitionKey("sales", "loader", THE_DAY), holder="here/a_dag/a_run/a_task")
        with pytest.raises(AirflowSkipException), write_partition(**DAY):
            raise AirflowSkipException("nothing new")
        partition = the_partition(registry)
        assert partition.state is PartitionState.FAILED
        assert "an earlier try of it was killed" in partition.reason

    def test_a_task_that_tries_to_defer_fails(self, registry: RegistryStore) -> None:
        with pytest.raises(WriteInterruptedError, match="nobody would renew"), write_partition(**DAY):
            raise TaskDeferred(trigger=SuccessTrigger(), method_name="execute_complete")
        partition = the_partition(registry)
        assert partition.state is PartitionState.FAILED
        assert "cannot defer" in partition.reason

    def test_a_retry_takes_up_its_own_lock(self, registry: RegistryStore) -> None:
        registry.lock(
            PartitionKey("sales", "loader", THE_DAY), register=True, holder="here/a_dag/a_run/a_task"
        )
        with write_partition(**DAY) as write:
            assert write.generation == 2
        assert the_partition(registry).state is PartitionState.READY


class TestConflict:
    @pytest.fixture(autouse=True)
    def locked_by_somebody(self, registry: RegistryStore) -> None:
        registry.lock(PartitionKey("sales", "loader", THE_DAY), register=True, holder="somebody")

    def test_refused(self, registry: RegistryStore) -> None:
        with pytest.raises(PartitionLockedError, match="somebody"), write_partition(**DAY):
            pytest.fail("wrote without the lock")
        check_untouched(registry)

    def test_waited_for(self, registry: RegistryStore, warned: Callable[[str], bool]) -> None:
        def unlock() -> None:
            until(lambda: warned("Still waiting."), "a warning")
            registry.unlock(PartitionKey("sales", "loader", THE_DAY), holder="somebody")

        other = threading.Thread(target=unlock)
        other.start()
        with write_partition(**DAY, on_conflict="wait", poke_interval=0.05) as write:
            assert write.generation == 2
        other.join()

    def test_waited_for_until_the_timeout(self, registry: RegistryStore) -> None:
        waiting = write_partition(**DAY, on_conflict="wait", poke_interval=60, timeout=timedelta(seconds=0.1))
        with pytest.raises(PartitionLockedError), waiting:
            pytest.fail("wrote without the lock")


class TestNesting:
    def test_two_sources(self, registry: RegistryStore) -> None:
        with write_partition(**DAY), write_partition(**DAY | {"source_name": "clicks"}):
            assert the_partition(registry).state is PartitionState.LOCKED
            assert the_partition(registry, "clicks").state is PartitionState.LOCKED
        assert the_partition(registry).state is PartitionState.READY
        assert the_partition(registry, "clicks").state is PartitionState.READY

    def test_the_same_partition_twice(self, registry: RegistryStore) -> None:
        with write_partition(**DAY) as write:
            with pytest.raises(InvalidInputError, match="already being written by this task"):
                with write_partition(**DAY):
                    pytest.fail("wrote it twice")
            assert the_partition(registry).generation == write.generation
        assert the_partition(registry).state is PartitionState.READY
        with write_partition(**DAY):
            pass  # one after the other is not nested

    def test_threads_of_a_task(self, registry: RegistryStore) -> None:
        def work(source_name: str) -> None:
            with write_partition(**DAY | {"source_name": source_name}):
                pass

        threads = [threading.Thread(target=work, args=(source,)) for source in ("sales", "clicks")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert the_partition(registry).state is PartitionState.READY
        assert the_partition(registry, "clicks").state is PartitionState.READY


class TestRenewal:
    def test_work_outlasts_its_lease(self, registry: RegistryStore) -> None:
        with write_partition(**DAY, lease=1) as write:
            until(lambda: renewals(registry) >= 4, "four renewals")
            write.require_lock()
        assert the_partition(registry).state is PartitionState.READY

    def test_ends_with_the_work(self, registry: RegistryStore) -> None:
        with write_partition(**DAY, lease=1):
            pass
        until(
            lambda: "partition-lease" not in [thread.name for thread in threading.enumerate()],
            "its thread to end",
        )

    def test_no_lease_can_be_shorter_than_a_renewal(self) -> None:
        with pytest.raises(InvalidInputError, match="at least a second"):
            write_partition(**DAY, lease=timedelta(milliseconds=20))
        with pytest.raises(InvalidInputError, match="not None"):
            write_partition(**DAY, lease=None)


class TestLoss:
    def test_by_force(self, registry: RegistryStore, warned: Callable[[str], bool]) -> None:
        with pytest.raises(LockLostError, match="held by somebody since"), write_partition(**DAY, lease=1):
            take_away(registry)
            until(lambda: warned("was lost while it was written"), "a warning")
        check_untouched(registry)

    def test_stops_the_code_at_its_next_check(
        self, registry: RegistryStore, warned: Callable[[str], bool]
    ) -> None:
        with pytest.raises(LockLostError, match="held by somebody since"):
            with write_partition(**DAY, lease=1) as write:
                take_away(registry)
                until(lambda: warned("was lost while it was written"), "a warning")
                write.require_lock()
        check_untouched(registry)

    def test_is_noticed_at_the_end_if_no_renewal_noticed_it(self, registry: RegistryStore) -> None:
        with pytest.raises(LockLostError, match="held by somebody since"), write_partition(**DAY):
            take_away(registry)
        check_untouched(registry)

    def test_to_a_writer_that_has_published_already(self, registry: RegistryStore) -> None:
        with pytest.raises(LockLostError, match="is ready since"), write_partition(**DAY):
            take_away(registry)
            registry.unlock(PartitionKey("sales", "loader", THE_DAY), holder="somebody")
        assert the_partition(registry).generation == 2

    def test_while_the_work_fails(self, registry: RegistryStore, warned: Callable[[str], bool]) -> None:
        with pytest.raises(ValueError, match="disk full"), write_partition(**DAY):
            take_away(registry)
            raise ValueError("disk full")
        check_untouched(registry)
        assert warned("cannot be marked as failed")

    def test_by_withdrawing_the_partition(self, registry: RegistryStore) -> None:
        with pytest.raises(LockLostError), write_partition(**DAY):
            registry.withdraw(PartitionKey("sales", "loader", THE_DAY), reason="retired", by="an operator")
        assert the_partition(registry).state is PartitionState.REGISTERED


def test_a_longer_partition_around_it(registry: RegistryStore) -> None:
    """A task that writes a day also writes an hour inside it."""
    hour = Interval("2026-11-01T05:00", "2026-11-01T06:00")
    with write_partition(**DAY):
        with write_partition(source_name="sales", start=hour.start, end=hour.end):
            pass
        assert not registry.check_readiness("sales", hour).is_ready
    assert registry.check_readiness("sales", THE_DAY).is_ready

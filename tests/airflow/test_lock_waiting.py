"""Locks that somebody else holds, and registries that do not respond: an error at once, or a wait."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.errors import PartitionLockedError, StoreUnavailableError
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.operators.partition_registry import PartitionLockOperator
from airflow_provider_partition_registry.runtime.connections import RegistryConnectionNotFoundError
from airflow_provider_partition_registry.runtime.errors import WaitFailedError
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from airflow_provider_partition_registry.triggers import partition_registry as triggers
from tests.airflow.registries import DAY, THE_DAY, Later, the_partition
from tests.airflow.runs import NewDag, Run, RunDag, a_context
from tests.airflow.tasks import a_pair, write

RunLock = Callable[..., Run]


@pytest.fixture(autouse=True)
def quick_triggers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "RESUME_NOT_BEFORE", 0.2)


@pytest.fixture(params=[False, True], ids=["polling", "deferrable"])
def wait_for_lock(request: pytest.FixtureRequest, run_lock: RunLock) -> RunLock:
    return partial(run_lock, on_conflict="wait", poke_interval=0.1, deferrable=request.param)


class TestConflict:
    @pytest.fixture(autouse=True)
    def locked_by_somebody(self, registry: RegistryStore) -> None:
        registry.lock(PartitionKey("sales", "loader", THE_DAY), register=True, holder="somebody")

    def test_refused(self, registry: RegistryStore, lock_write_unlock: Callable[..., Run]) -> None:
        run = lock_write_unlock()
        assert run.state == "failed"
        assert run.states == {"lock": "failed", "write": "upstream_failed", "unlock": "failed"}
        assert isinstance(run.error("lock"), PartitionLockedError)
        assert "somebody" in str(run.error("lock"))
        assert "lock did not take the lock (failed)" in str(run.error("unlock"))
        partition = the_partition(registry)
        assert (partition.state, partition.lock.holder.identity) == (PartitionState.LOCKED, "somebody")

    def test_refused_as_setup(self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
        with new_dag() as dag:
            lock, unlock = a_pair()
            with unlock.as_teardown(setups=lock.as_setup()):
                write()
        run = run_dag(dag)
        assert run.state == "failed"
        assert run.states == {"lock": "failed", "write": "upstream_failed", "unlock": "upstream_failed"}
        assert the_partition(registry).lock.holder.identity == "somebody"

    def test_waited_for(self, registry: RegistryStore, wait_for_lock: RunLock, later: Later) -> None:
        later(1.0, lambda: registry.unlock(PartitionKey("sales", "loader", THE_DAY), holder="somebody"))
        run = wait_for_lock(timeout=60)
        assert run.state == "success"
        assert run.results["lock"]["generation"] == 2
        assert the_partition(registry).lock.holder.identity.endswith("/lock")

    def test_a_wait_for_a_lock_times_out(self, registry: RegistryStore, wait_for_lock: RunLock) -> None:
        run = wait_for_lock(timeout=0.5)
        assert run.state == "failed"
        assert isinstance(run.error("lock"), PartitionLockedError)
        assert the_partition(registry).lock.holder.identity == "somebody"

    def test_waiting_does_not_outlast_its_timeout(self, run_lock: RunLock) -> None:
        run = run_lock(on_conflict="wait", poke_interval=timedelta(hours=1), timeout=timedelta(seconds=0.5))
        assert isinstance(run.error("lock"), PartitionLockedError)

    def test_an_error_in_the_triggerer_ends_the_wait(
        self, run_lock: RunLock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A new attempt would fail in the triggerer again, at once and for hours."""

        async def missing(_: str) -> None:
            raise RegistryConnectionNotFoundError("not in the triggerer's environment")

        monkeypatch.setattr(triggers, "poller_of", missing)
        error = run_lock(on_conflict="wait", deferrable=True, timeout=60).error("lock")
        assert isinstance(error, WaitFailedError)
        assert str(error) == "not in the triggerer's environment"


class TestRegistryThatIsDown:
    @pytest.fixture
    def outages(self, registry: RegistryStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The errors of the next attempts to lock, one after the other."""
        outages: list[str] = []
        lock = SqlRegistryStore.lock_many

        def stumble(*arguments: Any, **options: Any) -> Any:
            if outages:
                raise StoreUnavailableError(outages.pop(0))
            return lock(*arguments, **options)

        monkeypatch.setattr(SqlRegistryStore, "lock_many", stumble)
        return outages

    def test_is_waited_for(self, outages: list[str], registry: RegistryStore, wait_for_lock: RunLock) -> None:
        outages += ["connection refused"] * 3
        run = wait_for_lock(timeout=60)
        assert run.state == "success", run.errors
        assert outages == []
        assert the_partition(registry).state is PartitionState.LOCKED

    def test_a_wait_for_the_registry_times_out(self, outages: list[str], wait_for_lock: RunLock) -> None:
        outages += ["connection refused"] * 1000
        assert isinstance(wait_for_lock(timeout=0.5).error("lock"), StoreUnavailableError)

    def test_is_an_error_at_once_for_a_lock_that_does_not_wait(
        self, outages: list[str], run_lock: RunLock
    ) -> None:
        outages += ["connection refused"] * 2
        assert isinstance(run_lock().error("lock"), StoreUnavailableError)
        assert len(outages) == 1

    def test_each_new_reason_is_logged(
        self, outages: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(PartitionLockOperator, "log", logging.getLogger("lock"))
        caplog.set_level(logging.INFO, logger="lock")
        outages += ["connection refused"] * 3 + ["too slow"] * 3
        lock = PartitionLockOperator(task_id="lock", on_conflict="wait", poke_interval=0.01, **DAY)
        lock.execute(a_context())
        told = [record.getMessage() for record in caplog.records if "Still waiting" in record.getMessage()]
        leads = "The Airflow connection 'partition_registry_default' leads there."
        assert told == [f"Still waiting. {each} {leads}" for each in ("connection refused", "too slow")]

"""What the listener does with runs that end: in the background, in time, and without touching others' locks."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.models import Page, PartitionKey, PartitionState
from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionRegisterOperator,
)
from airflow_provider_partition_registry.plugins import ended_runs as module
from airflow_provider_partition_registry.plugins.ended_runs import EndedRuns
from airflow_provider_partition_registry.plugins.partition_registry import RegistryListener
from airflow_provider_partition_registry.plugins.registries import connections_of
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.processes import wait_until
from tests.airflow.leaving_locks import Cut, Left
from tests.airflow.registries import DAY, THE_DAY, the_partition
from tests.airflow.runs import NewDag

TIMEOUT = 120.0
BY_HAND = "Dag Run's state was manually set to `{}`."


@pytest.fixture
def ended(in_a_hurry: None) -> EndedRuns:
    return EndedRuns()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prefixes of the locks that were listed."""
    from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore

    prefixes: list[str] = []
    list_locks = SqlRegistryStore.list_locks

    def listed(store: Any, prefix: str, **page: Any) -> Page[Any]:
        prefixes.append(prefix)
        return list_locks(store, prefix, **page)

    monkeypatch.setattr(SqlRegistryStore, "list_locks", listed)
    return prefixes


def a_run(**different: Any) -> SimpleNamespace:
    """A run that Airflow does not know."""
    return SimpleNamespace(**{"dag_id": "some_dag", "run_id": "some_run", "state": "success"} | different)


@pytest.mark.parametrize(
    ("state", "msg", "how"),
    [
        ("failed", BY_HAND.format("failed"), "was marked failed by hand"),
        ("success", BY_HAND.format("success"), "was marked success by hand"),
        ("failed", "timed_out", "timed out"),
        ("failed", "", "timed out"),  # what Airflow 2 says then
        ("failed", "task_failure", "ended as failed"),
        ("success", "success", "ended as success"),
    ],
)
def test_a_lock_that_is_left_is_ended_with_how_the_run_ended(
    ended: EndedRuns, left: Left, state: str, msg: str, how: str
) -> None:
    left.set_state(state)

    ended.add(left.as_told, msg)

    assert ended.wait_until_done(TIMEOUT)
    assert left.partition.state is PartitionState.FAILED
    assert left.partition.reason == (
        f"The run {left.run_id} of DAG {left.dag_id} {how} while its task lock held this lock."
    )


def test_a_lock_task_that_died_is_named(ended: EndedRuns, left: Left) -> None:
    left.set_state("failed")
    left.set_task_state("failed")

    ended.add(left.as_told, "task_failure")

    assert ended.wait_until_done(TIMEOUT)
    assert left.partition.reason is not None
    assert left.partition.reason.endswith(
        "The task that took the lock died after it was granted: lock is failed."
    )


def test_it_waits_for_airflows_commit(ended: EndedRuns, left: Left, later: Callable[..., None]) -> None:
    left.set_state("running")
    told = left.as_told

    ended.add(told, "task_failure")
    later(0.7, left.set_state, "failed")

    assert ended.wait_until_done(TIMEOUT)
    assert left.partition.state is PartitionState.FAILED


@pytest.mark.parametrize("state", ["running", "queued"])
def test_a_run_that_goes_on_keeps_its_lock(
    ended: EndedRuns, left: Left, state: str, monkeypatch: pytest.MonkeyPatch, looks: list[str]
) -> None:
    """A run that was cleared, or whose teardown is still to come."""
    monkeypatch.setattr(module, "LOOKS_AT_RUNS_THAT_GO_ON", 2)
    left.set_state(state)

    ended.add(left.as_told, BY_HAND.format("failed"))

    assert ended.wait_until_done(TIMEOUT)
    assert len(looks) > 2
    assert left.partition.state is PartitionState.LOCKED


def test_a_run_that_was_cut_off_is_looked_at_again(
    ended: EndedRuns, left: Left, looks: list[str], later: Callable[..., None]
) -> None:
    """When somebody ended the run, its lock task was about to lock, and its worker stopped it too late."""
    left.set_state("failed")
    lock = left.partition.lock
    assert lock is not None
    left.registry.unlock(PartitionKey("sales", "loader", THE_DAY), generation=lock.generation)

    def lock_late() -> None:
        wait_until(lambda: looks, what="the first look", timeout=TIMEOUT, interval=0.01)
        left.registry.lock(PartitionKey("sales", "loader", THE_DAY), holder=lock.holder)

    later(0, lock_late)
    ended.add(left.as_told, BY_HAND.format("failed"))

    assert ended.wait_until_done(TIMEOUT)
    assert left.partition.state is PartitionState.FAILED


def test_locks_of_others_are_left_alone(ended: EndedRuns, left: Left) -> None:
    """Locks of an Airflow with runs of the same names, and of a holder that is not an Airflow."""
    left.set_state("failed")
    lock = left.partition.lock
    assert lock is not None
    elsewhere = lock.holder.identity.replace("here/", "elsewhere/")
    left.registry.lock(PartitionKey("sales", "other", THE_DAY), holder=elsewhere, register=True)
    left.registry.lock(PartitionKey("clicks", "other", THE_DAY), holder="here/somebody", register=True)

    ended.add(left.as_told, "task_failure")
    ended.add(a_run(), "task_failure")

    assert ended.wait_until_done(TIMEOUT)
    assert left.partition.state is PartitionState.FAILED
    assert the_partition(left.registry, provider="other").state is PartitionState.LOCKED
    assert the_partition(left.registry, "clicks", "other").state is PartitionState.LOCKED


def test_runs_that_end_together_are_looked_at_together(
    ended: EndedRuns, registry: RegistryStore, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AFTER_COMMIT", 0.0)
    with ended._changed:  # so that all of them are there before the first one is looked at
        for number in range(100):
            ended.add(a_run(run_id=f"run {number}"), "success")

    assert ended.wait_until_done(TIMEOUT)
    assert looks == ["here/"]


def test_one_run_is_looked_at_alone(ended: EndedRuns, registry: RegistryStore, looks: list[str]) -> None:
    ended.add(a_run(run_id="manual__2026-11-01T00:00:00/1"), "success")

    assert ended.wait_until_done(TIMEOUT)
    assert looks == ["here/some_dag/manual__2026-11-01T00:00:00%2F1/"]


def test_a_registry_that_is_down_is_waited_for(
    ended: EndedRuns, left: Left, cut: Cut, caplog: pytest.LogCaptureFixture
) -> None:
    ended.add(left.as_told, "task_failure")
    wait_until(lambda: "still to be ended" in caplog.text, what="a warning", timeout=TIMEOUT)
    assert cut.state is PartitionState.LOCKED

    cut.proxy.release()

    assert ended.wait_until_done(TIMEOUT)
    assert cut.state is PartitionState.FAILED


def test_without_a_connection_nothing_is_done_or_said(
    ended: EndedRuns, airflow_home: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ended.add(a_run(), "success")

    assert ended.wait_until_done(TIMEOUT)
    assert not [each for each in caplog.records if each.levelno >= logging.INFO]


def test_what_is_remembered_is_bounded(
    ended: EndedRuns, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "AFTER_COMMIT", 3600.0)
    monkeypatch.setattr(module, "MOST_RUNS", 3)

    for number in range(5):
        ended.add(a_run(run_id=str(number)), "success")

    assert [run.run_id for run in ended._waiting] == ["2", "3", "4"]
    assert "left to reconciliation" in caplog.text


def test_the_connections_are_those_of_the_dag(
    new_dag: NewDag, through_the_database: Callable[[Any], Any]
) -> None:
    with new_dag() as dag:
        PartitionLockOperator(task_id="lock", partition_registry_conn_id="one", **DAY)
        PartitionRegisterOperator.partial(task_id="mapped", partition_registry_conn_id="two", **DAY).expand(
            provider_name=["a", "b"]
        )
        PartitionLockOperator(task_id="templated", partition_registry_conn_id="{{ params.x }}", **DAY)

    assert connections_of(through_the_database(dag)) == {"partition_registry_default", "one", "two"}
    assert connections_of(None) == {"partition_registry_default"}


def test_a_child_leaves_its_parents_runs_to_the_parent(
    ended: EndedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AFTER_COMMIT", 3600.0)
    monkeypatch.setattr(module, "ended_runs", ended)
    ended.add(a_run(), "success")

    child = os.fork()
    if child == 0:
        was_left = not ended._waiting and ended._thread is None
        ended.add(a_run(), "success")
        has_begun = len(ended._waiting) == 1 and ended._thread is not None and ended._thread.is_alive()
        os._exit(0 if was_left and has_begun else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(ended._waiting) == 1


def test_the_listener_never_raises(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ended_runs", None)

    RegistryListener().on_dag_run_failed(a_run(), BY_HAND.format("failed"))
    RegistryListener().on_dag_run_success(a_run(), BY_HAND.format("success"))
    RegistryListener().on_task_instance_success(None, SimpleNamespace())

    assert len(caplog.records) == 4

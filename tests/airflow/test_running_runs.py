"""Runs whose end Airflow does not report are noticed, even by a scheduler that has not begun them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.plugins import running_runs
from airflow_provider_partition_registry.plugins.ended_runs import EndedRuns
from airflow_provider_partition_registry.plugins.running_runs import RunningRuns
from airflow_provider_partition_registry.runtime.identity import HolderIdentity
from testbed.processes import wait_until
from tests.airflow.leaving_locks import Cut, Left
from tests.airflow.registries import THE_DAY, the_partition

TIMEOUT = 120.0

MakeScheduler = Callable[[], RunningRuns]


@pytest.fixture
def new_scheduler(in_a_hurry: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeScheduler]:
    """Starts the background work of a scheduler that has just started, with short waits."""
    monkeypatch.setattr(running_runs, "BETWEEN_LOOKS", 0.1)
    monkeypatch.setattr(running_runs, "BETWEEN_LISTS", 0.1)
    monkeypatch.setattr(running_runs, "ended_runs", EndedRuns())
    started: list[RunningRuns] = []

    def start() -> RunningRuns:
        started.append(RunningRuns())
        return started[-1]

    yield start
    for each in started:
        each.stop(TIMEOUT)


def has_failed(left: Left) -> bool:
    return left.partition.state is PartitionState.FAILED


def a_run_of_others() -> Any:
    """A run begins that locks nothing."""
    return type("DagRun", (), {"dag_id": "another", "run_id": "some run", "dag": None})


def looks_twice(scheduler: RunningRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait until the scheduler has looked twice from now on."""
    looks: list[int] = []
    look = scheduler._look

    def count() -> None:
        looks.append(1)
        look()

    monkeypatch.setattr(scheduler, "_look", count)
    wait_until(lambda: len(looks) > 2, what="two looks", timeout=TIMEOUT)


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_run_that_it_began(new_scheduler: MakeScheduler, left: Left, state: str) -> None:
    left.set_state("running")
    new_scheduler().add(left.as_told)

    left.set_state(state)

    wait_until(lambda: has_failed(left), what="the lock to be ended", timeout=TIMEOUT)
    assert left.partition.reason == (
        f"The run {left.run_id} of DAG {left.dag_id} ended as {state} while its task lock held this lock."
    )


def test_a_run_that_is_deleted(new_scheduler: MakeScheduler, left: Left) -> None:
    left.set_state("running")
    new_scheduler().add(left.as_told)

    left.delete()

    wait_until(lambda: has_failed(left), what="the lock to be ended", timeout=TIMEOUT)
    assert left.partition.reason is not None
    assert "was deleted while" in left.partition.reason


def test_a_run_that_goes_on(
    new_scheduler: MakeScheduler, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    left.set_state("running")
    scheduler = new_scheduler()
    scheduler.add(left.as_told)

    looks_twice(scheduler, monkeypatch)

    assert left.partition.state is PartitionState.LOCKED


@pytest.mark.parametrize("ends", ["before", "after"])
def test_a_run_that_another_scheduler_began(
    new_scheduler: MakeScheduler, left: Left, ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler was restarted, and begins a run of another DAG."""
    left.set_state("failed" if ends == "before" else "running")
    scheduler = new_scheduler()
    scheduler.add(a_run_of_others())
    if ends == "after":
        looks_twice(scheduler, monkeypatch)
        assert left.partition.state is PartitionState.LOCKED
        left.set_state("failed")

    wait_until(lambda: has_failed(left), what="the lock to be ended", timeout=TIMEOUT)


def test_a_run_that_airflow_never_knew(
    new_scheduler: MakeScheduler, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody tries a DAG with a database of their own, but with this Airflow's connection."""
    trial = str(HolderIdentity("here", "trial", "run", "lock"))
    left.registry.lock(PartitionKey("sales", "other", THE_DAY), holder=trial, register=True)
    scheduler = new_scheduler()
    scheduler.add(a_run_of_others())

    wait_until(lambda: has_failed(left), what="the other lock to be ended", timeout=TIMEOUT)
    looks_twice(scheduler, monkeypatch)

    assert the_partition(left.registry, provider="other").state is PartitionState.LOCKED


def test_a_run_whose_end_is_reported_is_left_to_the_listener(
    new_scheduler: MakeScheduler, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that is notified ends its locks, and knows more about the end."""
    monkeypatch.setattr(running_runs, "BETWEEN_LISTS", 3600.0)
    left.set_state("running")
    scheduler = new_scheduler()
    scheduler.add(left.as_told)
    looks_twice(scheduler, monkeypatch)

    scheduler.forget(left.as_told)
    left.set_state("failed")
    looks_twice(scheduler, monkeypatch)

    assert left.partition.state is PartitionState.LOCKED


def test_a_registry_that_is_down_is_listed_later(
    new_scheduler: MakeScheduler, cut: Cut, caplog: pytest.LogCaptureFixture
) -> None:
    new_scheduler().add(a_run_of_others())
    wait_until(lambda: "still to be listed" in caplog.text, what="a warning", timeout=TIMEOUT)

    cut.proxy.release()

    wait_until(lambda: cut.state is PartitionState.FAILED, what="the lock to be ended", timeout=TIMEOUT)


def test_a_child_leaves_its_parents_runs_to_the_parent(
    new_scheduler: MakeScheduler, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = running_runs.running_runs
    scheduler.add(left.as_told)
    try:
        child = os.fork()
        if child == 0:
            os._exit(0 if not scheduler._connections and scheduler._thread is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        scheduler.forget(left.as_told)
        scheduler.stop(TIMEOUT)

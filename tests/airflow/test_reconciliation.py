"""Locks that no task will end: which they are, and who may end them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from airflow_provider_partition_registry.domain.grains import split_interval
from airflow_provider_partition_registry.domain.models import Holder, PartitionKey, PartitionState
from airflow_provider_partition_registry.operators.reconciliation import PartitionReconcileOperator
from airflow_provider_partition_registry.runtime.identity import TAKEN_BY, HolderIdentity, parse_identity
from airflow_provider_partition_registry.runtime.reconciliation import reason_to_end, reconcile
from airflow_provider_partition_registry.runtime.states import RunState, ask_database
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from tests.airflow.leaving_locks import Left
from tests.airflow.registries import IN_CONNECTION, THE_DAY, Connect, the_partition
from tests.airflow.runs import NewDag, Run, RunDag
from tests.airflow.services import Place

COMMAND = Path(sys.executable).with_name("partition-registry-reconcile")
HOLDER = HolderIdentity("here", "a_dag", "a_run", "lock", 2)

names = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=20)
holders = st.builds(HolderIdentity, names, names, names, names, st.integers(-1, 1_000))


class TestIdentity:
    @given(holders)
    def test_is_parsed_from_its_text(self, holder: HolderIdentity) -> None:
        assert parse_identity(str(holder)) == holder

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "somebody",
            "a/b/c",
            "a/b/c/d/e",
            "a/b/c/d/-1",
            "a/b/c/d/01",
            "a/b/c/d/1/2",
            "a/b/c d/e",
            "a/b//%64",
        ],
    )
    def test_of_other_holders_is_not_parsed(self, text: str) -> None:
        assert parse_identity(text) is None


class TestReasons:
    @pytest.mark.parametrize("task", ["success", "failed"])
    def test_a_run_that_is_over(self, task: str) -> None:
        reason = reason_to_end(HOLDER, RunState("failed", {("lock", 2): task}))

        assert reason is not None
        assert reason.startswith(
            "The run a_run of DAG a_dag ended as failed while its task lock[2] held this lock."
        )
        assert ("died after it was granted" in reason) == (task == "failed")

    def test_a_run_that_is_gone(self) -> None:
        reason = "The run a_run of DAG a_dag was deleted while its task lock[2] held this lock."
        assert reason_to_end(HOLDER, RunState(None)) == reason

    @pytest.mark.parametrize("state", ["failed", "upstream_failed", "skipped", "removed"])
    def test_a_task_that_is_dead(self, state: str) -> None:
        assert reason_to_end(HOLDER, RunState("running", {("lock", 2): state})) == (
            "The run a_run of DAG a_dag is still running, but no task will end this lock: the task that took the lock "
            f"died after it was granted: lock[2] is {state}."
        )

    @pytest.mark.parametrize(
        "state", [None, "queued", "running", "up_for_retry", "up_for_reschedule", "deferred", "success"]
    )
    def test_a_task_that_is_still_running(self, state: str | None) -> None:
        assert reason_to_end(HOLDER, RunState("running", {("lock", 2): state})) is None

    def test_a_task_that_airflow_does_not_know(self) -> None:
        """The task has a different name by now; the end of its run will settle it."""
        assert reason_to_end(HOLDER, RunState("running", {("lock", 1): "failed"})) is None


def test_a_lock_that_was_taken_again_meanwhile_stays(registry: RegistryStore) -> None:
    registry.lock(PartitionKey("sales", "loader", THE_DAY), holder=str(HOLDER), register=True)

    def ask(_: Any) -> dict[tuple[str, str], RunState]:
        registry.lock(PartitionKey("sales", "loader", THE_DAY), holder=str(HOLDER))
        return {("a_dag", "a_run"): RunState("failed")}

    assert reconcile(registry, "here", ask).found == ()
    assert the_partition(registry).state is PartitionState.LOCKED


def test_a_lock_that_a_guard_took_again_outlives_its_lock_task(registry: RegistryStore) -> None:
    """Somebody cleared the work alone, after the lock task had died."""

    def ask(_: Any) -> dict[tuple[str, str], RunState]:
        return {("a_dag", "a_run"): RunState("running", {("lock", 2): "failed"})}

    by_guard = Holder(str(HOLDER), {TAKEN_BY: "load"})
    registry.lock(PartitionKey("sales", "loader", THE_DAY), holder=by_guard, register=True)
    assert reconcile(registry, "here", ask).found == ()

    registry.lock(PartitionKey("sales", "loader", THE_DAY), holder=str(HOLDER))
    assert len(reconcile(registry, "here", ask).found) == 1


def test_a_lock_that_was_finished_meanwhile_is_not_counted(registry: RegistryStore) -> None:
    registry.lock(PartitionKey("sales", "loader", THE_DAY), holder=str(HOLDER), register=True)

    def ask(_: Any) -> dict[tuple[str, str], RunState]:
        registry.fail(PartitionKey("sales", "loader", THE_DAY), holder=str(HOLDER), reason="disk full")
        return {("a_dag", "a_run"): RunState("failed")}

    assert reconcile(registry, "here", ask).found == ()
    assert the_partition(registry).reason == "disk full"


HOURS = split_interval(THE_DAY, "hour", at_most=24)


def lock_hours(registry: RegistryStore) -> list[PartitionKey]:
    keys = [PartitionKey("sales", "loader", each) for each in HOURS]
    registry.lock_many(keys, holder=str(HOLDER), register=True)
    return keys


def test_locks_on_many_partitions_end_in_one_call(
    registry: RegistryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_hours(registry)
    with monkeypatch.context() as one_by_one:
        one_by_one.delattr(SqlRegistryStore, "change")
        found = reconcile(registry, "here", lambda _: {("a_dag", "a_run"): RunState("failed")}).found
    assert [each.was_ended for each in found] == [True] * 24
    assert {each.state for each in registry.list_partitions("sales").items} == {PartitionState.FAILED}


def test_of_many_locks_one_of_which_was_finished_meanwhile_the_others_end(registry: RegistryStore) -> None:
    keys = lock_hours(registry)

    def ask(_: Any) -> dict[tuple[str, str], RunState]:
        registry.unlock(keys[5], holder=str(HOLDER))
        registry.fail(keys[6], holder=str(HOLDER), reason="disk full")
        return {("a_dag", "a_run"): RunState("failed")}

    found = reconcile(registry, "here", ask).found
    assert {each.held.partition.key for each in found} == set(keys) - {keys[5], keys[6]}
    assert registry.get_partition(keys[5]).state is PartitionState.READY
    assert registry.get_partition(keys[6]).reason == "disk full"
    assert registry.list_locks().items == ()


class TestOperator:
    @pytest.fixture
    def run_reconcile(self, new_dag: NewDag, run_dag: RunDag) -> Any:
        def run(**arguments: Any) -> Run:
            with new_dag(dag_id="reconciles") as dag:
                PartitionReconcileOperator(task_id="reconcile", **arguments)
            return run_dag(dag)

        return run

    def test_ends_what_a_run_left(self, left: Left, run_reconcile: Any) -> None:
        left.set_state("failed")
        left.set_task_state("failed")

        result = run_reconcile().results["reconcile"]

        assert left.partition.state is PartitionState.FAILED
        assert result["looked_at"] == 1
        assert [(each["reason"], each["was_ended"]) for each in result["found"]] == [
            (left.partition.reason, True)
        ]
        assert "died after it was granted: lock is failed" in result["found"][0]["reason"]

    def test_ends_the_lock_of_a_run_that_is_gone(self, left: Left, run_reconcile: Any) -> None:
        left.delete()

        run_reconcile()

        assert left.partition.state is PartitionState.FAILED
        assert left.partition.reason is not None
        assert "was deleted" in left.partition.reason

    def test_leaves_locks_of_others_and_of_running_runs_alone(self, left: Left, run_reconcile: Any) -> None:
        left.set_state("running")
        left.registry.lock(PartitionKey("clicks", "loader", THE_DAY), holder="elsewhere/d/r/t", register=True)
        left.registry.lock(PartitionKey("clicks", "other", THE_DAY), holder="here/somebody", register=True)

        result = run_reconcile().results["reconcile"]

        assert result == {"looked_at": 1, "found": []}
        assert left.registry.count_locks().held == 3

    def test_a_dry_run_ends_nothing(self, left: Left, run_reconcile: Any) -> None:
        result = run_reconcile(dry_run=True).results["reconcile"]

        assert [each["was_ended"] for each in result["found"]] == [False]
        assert left.partition.state is PartitionState.LOCKED

    def test_fails_if_the_registry_refuses(
        self, left: Left, run_reconcile: Any, place: Place, connect: Connect, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One provider's token cannot end another's locks; the locks that it can end are ended."""
        number = place.source.partition("-")[2]
        lock = left.partition.lock
        assert lock is not None
        for name in ("loader", "other"):
            place.store.lock(
                PartitionKey(place.source, f"{name}-{number}", THE_DAY), holder=lock.holder, register=True
            )

        run = run_reconcile()

        assert run.state == "failed"
        states = {
            name: the_partition(place.store, place.source, f"{name}-{number}").state
            for name in ("loader", "other")
        }
        assert states == {"loader": PartitionState.FAILED, "other": PartitionState.LOCKED}


class TestCommand:
    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)

    def test_ends_what_a_run_left(self, left: Left) -> None:
        tried = self.call("--dry-run")
        assert tried.returncode == 0, tried.stderr
        assert "is to be ended. The run " in tried.stdout
        assert left.partition.state is PartitionState.LOCKED

        done = self.call("--json")
        assert json.loads(done.stdout)["found"][0]["was_ended"] is True
        assert left.partition.state is PartitionState.FAILED

        assert "0 will not be ended by any task" in self.call().stdout

    def test_says_what_is_missing(self, airflow_home: Path) -> None:
        answer = self.call("--conn-id", "nothing_here")

        assert answer.returncode == 2
        assert "The Airflow connection 'nothing_here' is not configured." in answer.stderr

    def test_requires_a_name_for_this_airflow(self, registry_url: str, connect: Connect) -> None:
        connect(registry_url, extra={key: IN_CONNECTION[key] for key in ("provider",)})

        answer = self.call("--json")

        assert json.loads(answer.stderr.splitlines()[-1])["code"] == "ambiguous_instance"
        assert answer.returncode != 0


def test_airflows_database_says_how_runs_stand(left: Left) -> None:
    left.set_task_state("skipped")
    key = (left.dag_id, left.run_id)
    asked = [HolderIdentity("here", *key, "lock"), HolderIdentity("here", "no_dag", "no_run", "lock")]

    assert ask_database(asked) == {
        key: RunState("success", {("lock", -1): "skipped"}),
        ("no_dag", "no_run"): RunState(None),
    }

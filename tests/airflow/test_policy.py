"""What the cluster policy says about a DAG's locks when it is parsed."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow import settings
from airflow.exceptions import AirflowClusterPolicyViolation
from airflow.providers.common.compat.sdk import task

from airflow_provider_partition_registry import policies
from airflow_provider_partition_registry.decorators.partition_registry import writes_partition
from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionUnlockOperator,
)
from airflow_provider_partition_registry.proof import parsing
from airflow_provider_partition_registry.proof.parsing import LeaseTooShortWarning
from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock
from tests.airflow.registries import DAY
from tests.airflow.runs import NewDag
from tests.airflow.tasks import a_pair, write

HOUR = timedelta(hours=1)

AT_START = """
import json, sys, airflow.settings
airflow.settings.initialize()
print(json.dumps([name for name in sys.modules if name.startswith("airflow_provider_partition_registry")]))
"""

A_DAG = """
from datetime import datetime, timedelta, timezone
from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_partition_registry.decorators.partition_registry import writes_partition
{more}
"""


def said_of(dag: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        settings.dag_policy(dag)
    assert {each.category for each in caught} <= {LeaseTooShortWarning}
    return [str(each.message) for each in caught]


def a_dag(new_dag: NewDag, lease: Any, *work: dict[str, Any], **of_dag: Any) -> Any:
    """A DAG of a lock, tasks one after the other, and an unlock."""
    with new_dag(dag_id="a_dag", **of_dag) as dag:
        lock, unlock = a_pair(DAY)
        lock.lease = lease
        last: Any = lock
        for number, arguments in enumerate(work):
            last = last >> write.override(task_id=f"write_{number}", **arguments)()
        last >> unlock
    return dag


class TestShortLeases:
    def test_by_the_limits_of_tasks(self, new_dag: NewDag) -> None:
        limits = {"execution_timeout": HOUR, "retries": 2, "retry_delay": timedelta(minutes=10)}
        (said,) = said_of(a_dag(new_dag, 3 * HOUR, limits, {"execution_timeout": HOUR}))
        assert "DAG 'a_dag': the lease of 'lock' ends after 3:00:00" in said
        assert "lets the tasks until 'unlock' take 4:20:00" in said
        assert "longer" in said
        assert "@writes_partition" in said

    def test_long_enough(self, new_dag: NewDag) -> None:
        assert not said_of(a_dag(new_dag, 2 * HOUR, {"execution_timeout": HOUR}, {"execution_timeout": HOUR}))

    def test_by_the_limit_of_the_run(self, new_dag: NewDag) -> None:
        (said,) = said_of(a_dag(new_dag, HOUR, {}, dagrun_timeout=2 * HOUR))
        assert "dagrun_timeout lets the tasks until 'unlock' take 2:00:00" in said

    def test_the_lower_limit_counts(self, new_dag: NewDag) -> None:
        assert not said_of(a_dag(new_dag, HOUR, {"execution_timeout": HOUR}, dagrun_timeout=9 * HOUR))
        assert not said_of(a_dag(new_dag, HOUR, {"execution_timeout": 9 * HOUR}, dagrun_timeout=HOUR))

    def test_retry_delays_count_without_execution_timeouts(self, new_dag: NewDag) -> None:
        assert said_of(a_dag(new_dag, HOUR, {"retries": 3, "retry_delay": HOUR}))

    @pytest.mark.parametrize("lease", [None, timedelta(days=1), 86_400, 86_400.0])
    def test_leases_that_are_fine(self, lease: Any, new_dag: NewDag) -> None:
        assert not said_of(a_dag(new_dag, lease, {"execution_timeout": HOUR}))

    def test_a_lease_in_seconds(self, new_dag: NewDag) -> None:
        assert said_of(a_dag(new_dag, 60, {"execution_timeout": HOUR}))

    def test_tasks_without_limits_cause_no_warning(self, new_dag: NewDag) -> None:
        assert not said_of(a_dag(new_dag, 60, {}))

    def test_the_longest_path(self, new_dag: NewDag) -> None:
        with new_dag() as dag:
            lock, unlock = a_pair()
            lock.lease = 2 * HOUR
            short, long, last = (
                write.override(task_id=name, execution_timeout=limit)()
                for name, limit in (("short", HOUR), ("long", 2 * HOUR), ("last", HOUR))
            )
            lock >> [short, long] >> last >> unlock
            unlock >> write.override(task_id="after", execution_timeout=9 * HOUR)()
        (said,) = said_of(dag)
        assert "take 3:00:00" in said

    def test_mapped_tasks(self, new_dag: NewDag) -> None:
        @task(execution_timeout=HOUR)
        def part(number: int) -> None: ...

        starts = {"start": ["2026-11-01", "2026-11-02"]}
        with new_dag() as dag:
            shared = {"source_name": "sales", "grain": "day"}
            lock = PartitionLockOperator.partial(task_id="lock", lease=60, **shared).expand(**starts)
            unlock = PartitionUnlockOperator.partial(task_id="unlock", **shared).expand(**starts)
            lock >> part.expand(number=[1, 2]) >> unlock
        assert said_of(dag)

    def test_teardown(self, new_dag: NewDag) -> None:
        with new_dag() as dag:
            lock, unlock = a_pair()
            lock.lease = 60
            with unlock.as_teardown(setups=lock.as_setup()):
                write.override(execution_timeout=HOUR)()
        assert said_of(dag)

    def test_the_lock_that_the_unlock_names(self, new_dag: NewDag) -> None:
        with new_dag() as dag:
            first = PartitionLockOperator(task_id="first", lease=60, **DAY)
            second = PartitionLockOperator(task_id="second", **DAY)
            unlock = PartitionUnlockOperator(task_id="unlock", lock_task_id="first", **DAY)
            first >> second >> write.override(execution_timeout=HOUR)() >> unlock
        (said,) = said_of(dag)
        assert "'first'" in said

    def test_a_subclass(self, new_dag: NewDag) -> None:
        class MyLock(PartitionLockOperator): ...

        with new_dag() as dag:
            unlock = PartitionUnlockOperator(task_id="unlock", **DAY)
            MyLock(task_id="lock", lease=60, **DAY) >> write.override(execution_timeout=HOUR)() >> unlock
        assert said_of(dag)


class TestWhereADecoratedFunctionRuns:
    @pytest.mark.parametrize(
        ("decorator", "is_mapped"),
        # One that is not mapped needs the package virtualenv on Airflow 2.
        [("virtualenv", True), *itertools.product(("external_python", "bash", "sensor"), (False, True))],
    )
    def test_is_refused_if_it_is_another_process_or_later(
        self, decorator: str, is_mapped: bool, new_dag: NewDag
    ) -> None:
        options = {"python": sys.executable} if decorator == "external_python" else {}

        @getattr(task, decorator)(**options)
        @writes_partition(**DAY)
        def load(number: int) -> str:
            return "true"

        with new_dag() as dag:
            load.expand(number=[1]) if is_mapped else load(1)
        with pytest.raises(AirflowClusterPolicyViolation, match=f"'load'.*under @task.{decorator}, which"):
            settings.dag_policy(dag)

    @pytest.mark.parametrize("decorator", ["", "branch", "short_circuit"])
    def test_is_accepted_if_it_is_the_tasks_process(self, decorator: str, new_dag: NewDag) -> None:
        @(getattr(task, decorator) if decorator else task)
        @writes_partition(**DAY)
        def load() -> str:
            return "true"

        with new_dag() as dag:
            load()
        settings.dag_policy(dag)

    def test_is_checked_again_when_the_task_runs(self, new_dag: NewDag, registry: Any) -> None:
        from tests.airflow.writers import in_task

        @task.bash
        @writes_partition(**DAY)
        def load() -> str:
            pytest.fail("ran before its work was done")

        with new_dag():
            operator = load().operator
        with in_task(operator), pytest.raises(AirflowClusterPolicyViolation):
            operator.python_callable()
        assert not registry.list_partitions("sales").items


class TestThePolicy:
    def test_is_seen_where_dags_are_parsed(self, tmp_path: Path, load_dags: Callable[[Path], Any]) -> None:
        more = (
            "with DAG('a_dag', schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):\n"
            "    @task.bash\n"
            "    @writes_partition(source_name='sales')\n"
            "    def load(): ...\n"
            "    load()\n"
        )
        (tmp_path / "a_dag.py").write_text(A_DAG.format(more=more))
        dag_bag = load_dags(tmp_path)
        assert "under @task.bash" in str(dag_bag.import_errors)
        assert dag_bag.dags == {}

    def test_breaks_no_dag(
        self, new_dag: NewDag, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(parsing, "CHECKS", (lambda writes: 1 // 0,))
        with new_dag() as dag:
            write()
        settings.dag_policy(dag)
        assert "could not be checked" in caplog.text

    def test_does_nothing_without_our_operators(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(policies, "USERS", ("no.such.module",))
        policies.dag_policy(None)

    def test_costs_nothing_at_the_start(self) -> None:
        answer = subprocess.run([sys.executable, "-c", AT_START], capture_output=True, text=True, check=True)
        package = "airflow_provider_partition_registry"
        ours = set(json.loads(answer.stdout.splitlines()[-1]))
        assert ours - {f"{package}.get_provider_info"} == {package, f"{package}.policies"}


class TestRefusals:
    @staticmethod
    def refusal_of(dag: Any) -> str:
        with pytest.raises(AirflowClusterPolicyViolation) as refusal:
            settings.dag_policy(dag)
        return str(refusal.value)

    def test_an_unlock_without_a_lock(self, new_dag: NewDag) -> None:
        with new_dag() as dag:
            write() >> PartitionUnlockOperator(task_id="unlock", **DAY)
        assert "no task upstream of it takes a lock" in self.refusal_of(dag)

    @pytest.mark.parametrize("rule", ["always", "one_success", "all_success", "none_failed"])
    @pytest.mark.parametrize("is_mapped", [False, True])
    def test_a_trigger_rule_that_makes_the_unlock_useless(
        self, rule: str, is_mapped: bool, new_dag: NewDag
    ) -> None:
        with new_dag() as dag:
            lock = PartitionLockOperator(task_id="lock", **DAY)
            if is_mapped:
                unlock = PartitionUnlockOperator.partial(
                    task_id="unlock", source_name="sales", grain="day", trigger_rule=rule
                ).expand(start=["2026-11-01"])
            else:
                unlock = PartitionUnlockOperator(task_id="unlock", trigger_rule=rule, **DAY)
            lock >> write() >> unlock
        assert f"trigger_rule='{rule}'" in self.refusal_of(dag)

    @pytest.mark.parametrize("is_alone", [True, False])
    def test_a_mapped_task_in_a_teardown_without_edges(self, is_alone: bool, new_dag: NewDag) -> None:
        @task
        def part(number: int) -> None: ...

        with new_dag() as dag:
            lock, unlock = a_pair()
            with unlock.as_teardown(setups=lock.as_setup()):
                each = part.expand(number=[1, 2])
                if not is_alone:
                    write() >> each
        assert "'part' stands in the context of 'unlock'" in self.refusal_of(dag)

    def test_a_mapped_task_in_a_teardown_with_edges(self, new_dag: NewDag) -> None:
        @task
        def part(number: int) -> None: ...

        with new_dag() as dag:
            lock, unlock = a_pair()
            with unlock.as_teardown(setups=lock.as_setup()):
                each = part.expand(number=[1, 2])
            lock >> each >> unlock
        settings.dag_policy(dag)


def test_a_reader_of_a_task_in_a_group_waits_for_the_publication(new_dag: NewDag) -> None:
    @task
    def load() -> int:
        return 1

    @task
    def report(rows: int) -> None: ...

    with new_dag() as dag:
        with partition_lock("day", **DAY):
            rows = load()
        report(rows)
    settings.dag_policy(dag)
    assert dag.get_task("report").upstream_task_ids == {"day.load", "day.unlock"}

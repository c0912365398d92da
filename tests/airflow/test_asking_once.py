"""Readers can ask once instead of waiting, and branch by the answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskGroup, XComArg, task

from airflow_provider_partition_registry.domain.errors import (
    StoreUnavailableError,
    UnknownSourceError,
)
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.operators.reading import (
    PartitionReadinessBranchOperator,
    PartitionReadinessShortCircuitOperator,
    PartitionUnchangedOperator,
)
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock
from tests.airflow.registries import DAY, THE_DAY, Connect, publish, the_partition
from tests.airflow.runs import NewDag, Rerun, Run, RunDag

READY = {
    "source_name": "sales",
    "start": "2026-11-01T00:00:00Z",
    "end": "2026-11-02T00:00:00Z",
    "is_ready": True,
}


@pytest.fixture
def branch(new_dag: NewDag, run_dag: RunDag) -> Callable[..., Run]:
    """Runs a DAG that goes one of two ways, and then joins them."""

    def run(**arguments: Any) -> Run:
        with new_dag() as dag:
            asked = PartitionReadinessBranchOperator(
                task_id="ask",
                **{"follow_task_ids_if_ready": "report", "follow_task_ids_if_not_ready": "apologize"}
                | (DAY if "source_name" not in arguments and "requires" not in arguments else {})
                | arguments,
            )
            asked >> [a_task("report"), a_task("apologize")] >> a_task("join", "none_failed_min_one_success")
        return run_dag(dag)

    return run


def a_task(name: str, trigger_rule: str = "all_success") -> Any:
    @task(task_id=name, trigger_rule=trigger_rule)
    def do() -> None: ...

    return do()


class TestBranch:
    def test_ready(self, registry: RegistryStore, branch: Callable[..., Run], pulled: Any) -> None:
        publish(registry)
        run = branch()
        assert run.states == {
            "ask": "success",
            "report": "success",
            "apologize": "skipped",
            "join": "success",
        }
        assert pulled(run, "ask", "answers") == READY | {"as_of": registry.last_position()}
        assert pulled(run, "ask", "explanation").startswith("Ready: ")

    def test_not_ready(self, registry: RegistryStore, branch: Callable[..., Run], pulled: Any) -> None:
        registry.lock(PartitionKey("sales", "loader", THE_DAY), register=True, holder="the-night-job")
        run = branch()
        assert run.states == {
            "ask": "success",
            "report": "skipped",
            "apologize": "success",
            "join": "success",
        }
        assert pulled(run, "ask", "answers")["is_ready"] is False
        assert "is being written by the-night-job" in pulled(run, "ask", "explanation")

    def test_no_other_way(self, registry: RegistryStore, branch: Callable[..., Run]) -> None:
        run = branch(follow_task_ids_if_not_ready=())
        assert set(run.states.values()) == {"success", "skipped"}
        assert [name for name, state in run.states.items() if state == "success"] == ["ask"]

    def test_several_sources(self, registry: RegistryStore, branch: Callable[..., Run], pulled: Any) -> None:
        publish(registry)
        run = branch(requires=["sales", "clicks"], start="2026-11-01", grain="day")
        assert run.states["apologize"] == "success"
        assert [each["is_ready"] for each in pulled(run, "ask", "answers")] == [True, False]
        explanation = pulled(run, "ask", "explanation")
        assert "Ready: " in explanation
        assert "Not ready: " in explanation

    def test_a_group(self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
        publish(registry)
        with new_dag() as dag:
            ask = PartitionReadinessBranchOperator(
                task_id="ask",
                follow_task_ids_if_ready=["reports", "tell"],
                follow_task_ids_if_not_ready="wait",
                **DAY,
            )
            with TaskGroup("reports") as reports:
                a_task("one")
                a_task("two")
            ask >> [reports, a_task("tell"), a_task("wait")]
        assert run_dag(dag).states == {
            "ask": "success",
            "reports.one": "success",
            "reports.two": "success",
            "tell": "success",
            "wait": "skipped",
        }

    def test_published_after(self, registry: RegistryStore, branch: Callable[..., Run]) -> None:
        publish(registry)
        assert branch(published_after="2020-01-01").states["report"] == "success"
        assert branch(published_after="2999-01-01").states["report"] == "skipped"

    @pytest.mark.parametrize("requires", [None, ["typo"]])
    def test_an_unknown_source_is_an_error(
        self, requires: list[str] | None, registry: RegistryStore, branch: Callable[..., Run]
    ) -> None:
        which = {"source_name": "typo"} if requires is None else {"requires": requires}
        run = branch(start="2026-11-01", grain="day", **which)
        assert isinstance(run.error("ask"), UnknownSourceError)

    def test_a_registry_that_is_down(self, branch: Callable[..., Run], connect: Connect) -> None:
        connect("postgresql://nobody@127.0.0.1:1/registry", extra={"timeout": "1"})
        run = branch(retries=1, retry_delay=timedelta(0))
        assert len(run.errors["ask"]) == 2
        assert isinstance(run.error("ask"), StoreUnavailableError)
        assert "partition_registry_default" in str(run.error("ask"))

    def test_what_is_read_can_be_checked(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        publish(registry)
        with new_dag() as dag:
            ask = PartitionReadinessBranchOperator(task_id="ask", follow_task_ids_if_ready="report", **DAY)

            @task
            def report() -> None:
                publish(registry)

            unchanged = PartitionUnchangedOperator(
                task_id="unchanged",
                answers=XComArg(ask, "answers"),
                trigger_rule="none_failed_min_one_success",
            )
            ask >> report() >> unchanged
        run = run_dag(dag)
        assert run.states["unchanged"] == "failed"
        assert "Clear ask with everything downstream" in str(run.error("unchanged"))

    def test_a_clear_asks_again(
        self, registry: RegistryStore, branch: Callable[..., Run], rerun: Rerun
    ) -> None:
        run = branch()
        assert run.states["report"] == "skipped"
        publish(registry)
        again = rerun(run, "ask")
        assert again.states == {
            "ask": "success",
            "report": "success",
            "apologize": "skipped",
            "join": "success",
        }


@pytest.fixture
def short_circuit(new_dag: NewDag, run_dag: RunDag) -> Callable[..., Run]:
    """Runs a DAG that goes on only if the day is ready, and does something else in any case."""

    def run(**arguments: Any) -> Run:
        with new_dag() as dag:
            asked = PartitionReadinessShortCircuitOperator(task_id="ask", **DAY | arguments)
            asked >> a_task("report") >> a_task("clean_up", "all_done")
        return run_dag(dag)

    return run


class TestShortCircuit:
    def test_ready(self, registry: RegistryStore, short_circuit: Callable[..., Run], pulled: Any) -> None:
        publish(registry)
        run = short_circuit()
        assert set(run.states.values()) == {"success"}
        assert run.results["ask"] is True
        assert pulled(run, "ask", "answers")["as_of"] == registry.last_position()

    def test_not_ready(self, registry: RegistryStore, short_circuit: Callable[..., Run], pulled: Any) -> None:
        run = short_circuit()
        assert run.states == {"ask": "success", "report": "skipped", "clean_up": "skipped"}
        assert "nobody has published" in pulled(run, "ask", "explanation")
        assert pulled(run, "ask", "answers")["is_ready"] is False

    def test_trigger_rules_decide_further_on(
        self, registry: RegistryStore, short_circuit: Callable[..., Run]
    ) -> None:
        run = short_circuit(ignore_downstream_trigger_rules=False)
        assert run.states == {"ask": "success", "report": "skipped", "clean_up": "success"}

    def test_a_clear_asks_again(
        self, registry: RegistryStore, short_circuit: Callable[..., Run], rerun: Rerun
    ) -> None:
        run = short_circuit()
        publish(registry)
        again = rerun(run, "ask")
        assert set(again.states.values()) == {"success"}

    def test_mapped(self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
        publish(registry)
        with new_dag() as dag:
            PartitionReadinessShortCircuitOperator.partial(
                task_id="ask", source_name="sales", grain="day"
            ).expand(start=["2026-11-01", "2026-11-02"])
        assert run_dag(dag).state == "success"

    def test_between_lock_and_unlock_it_is_a_decision(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        """Nothing was written, so the partition is what it was before."""
        publish(registry)
        before = the_partition(registry).published_at
        with new_dag() as dag, partition_lock("made", on_skipped="unchanged", **DAY):
            ask = PartitionReadinessShortCircuitOperator(
                task_id="ask",
                ignore_downstream_trigger_rules=False,
                **DAY | {"source_name": "clicks"},
            )
            ask >> a_task("write")
        run_dag(dag)
        partition = the_partition(registry)
        assert (partition.state, partition.published_at) == (PartitionState.READY, before)

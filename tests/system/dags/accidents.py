"""DAGs to which accidents happen: the same work, in each form in which a lock and its unlock can stand around it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from accident_journal import Performance
from airflow.providers.common.compat.sdk import DAG, BaseOperator, TaskGroup, task, task_group

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import get_parsing_context
except ImportError:  # 2.11
    from airflow.operators.empty import EmptyOperator
    from airflow.utils.dag_parsing_context import get_parsing_context

from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionUnlockOperator,
)
from airflow_provider_partition_registry.runtime.conflicts import OnConflict

PACKAGE = "airflow_provider_partition_registry"
HAS_GROUP_FORM = importlib.util.find_spec(f"{PACKAGE}.task_groups") is not None
FORMS = ("plain", "teardown", "group") if HAS_GROUP_FORM else ("plain", "teardown")

WRITER = {"source_name": "system.accidents", "provider_name": "accident-writer", "grain": "day"}

PARAMS = {
    "day": "2001-01-01",
    "days": ["2001-01-01"],
    "folder": "",  # where the journal of a run is
    "decision": "",  # what deciders and branches decide
}

FAR_AWAY = timedelta(hours=1)
SOON = timedelta(seconds=0)
LAST_DAY = datetime(2010, 1, 1, tzinfo=UTC)

Ends = tuple[list[Any], list[Any]]
"""The first and the last tasks of some work."""


# Tasks


def written(params: dict[str, Any], ti: Any = None) -> None:
    Performance(params["folder"], ti).play()


def writing(name: str, **arguments: Any) -> Any:
    """A task that writes."""
    return task(task_id=name, **arguments)(written)()


def writing_each(name: str) -> Any:
    """A mapped task that writes two files."""

    @task(task_id=name)
    def each(file: str, params: dict[str, Any], ti: Any = None) -> None:
        print(f"Here {file} is written.")
        written(params, ti)

    return each.expand(file=["a", "b"])


def reading(name: str) -> Any:
    @task(task_id=name)
    def read(params: dict[str, Any], ti: Any = None) -> None:
        Performance(params["folder"], ti).note("read")

    return read()


def deciding() -> Any:
    @task.short_circuit(task_id="decider", ignore_downstream_trigger_rules=False)
    def decide(params: dict[str, Any]) -> bool:
        return params["decision"] != "stop"

    return decide()


def branching() -> Any:
    @task.branch(task_id="branch")
    def choose(params: dict[str, Any], ti: Any = None) -> str:
        return ti.task_id.removesuffix("branch") + params["decision"]

    return choose()


class DeferredWriting(BaseOperator):
    """Work that waits in the triggerer for its cue."""

    def execute(self, context: Any) -> None:
        try:
            from airflow.providers.standard.triggers.file import FileTrigger
        except ImportError:  # 2.11
            from airflow.triggers.file import FileTrigger

        performance = Performance(context["params"]["folder"], context["ti"])
        performance.begin()
        trigger = FileTrigger(filepath=str(performance.cue_file()), poke_interval=0.2)
        self.defer(trigger=trigger, method_name="resume")

    def resume(self, context: Any, event: Any) -> None:
        Performance(context["params"]["folder"], context["ti"]).end("go")


def held_after_the_grant(context: Any, result: Any) -> None:
    """Keep the lock task from telling Airflow that it has the lock, until the test lets it."""
    performance = Performance(context["params"]["folder"], context["ti"])
    if performance.task == "lock":
        performance.note("granted")
        performance.wait_for_cue()


# Work


def in_line(**of_last: Any) -> Ends:
    first, last = writing("w1"), writing("w2", **of_last)
    first >> last
    return [first], [last]


def line() -> Ends:
    return in_line()


def waiting_for_retry() -> Ends:
    return in_line(retries=1, retry_delay=FAR_AWAY)


def retried() -> Ends:
    return in_line(retries=1, retry_delay=SOON)


def single() -> Ends:
    only = writing("w1")
    return [only], [only]


def deferred() -> Ends:
    first, last = DeferredWriting(task_id="w1"), writing("w2")
    first >> last
    return [first], [last]


def decider_first() -> Ends:
    decider, (first, last) = deciding(), line()
    decider >> first
    return [decider], last


def decider_between() -> Ends:
    first, decider, last = writing("w1"), deciding(), writing("w2")
    first >> decider >> last
    return [first], [last]


def branch_with_join() -> Ends:
    branch, ways = branching(), [writing("left"), writing("right")]
    join = writing("join", trigger_rule="none_failed_min_one_success")
    branch >> ways >> join
    return [branch], [join]


def branch_away() -> Ends:
    """One of the ways leads past all work."""
    branch, work, nothing = branching(), writing("w1"), EmptyOperator(task_id="nothing")
    branch >> [work, nothing]
    return [branch], [work]


def nested_groups() -> Ends:
    with TaskGroup("outer", prefix_group_id=False):
        first = writing("w1")
        with TaskGroup("inner", prefix_group_id=False):
            second, third = writing("w2"), writing("w3")
        first >> [second, third]
    return [first], [second, third]


def mapped_last() -> Ends:
    first, each = writing("w1"), writing_each("each")
    first >> each
    return [first], [each]


def mapped_alone() -> Ends:
    each = writing_each("each")
    return [each], [each]


# Forms


def between(
    form: str,
    work: Callable[[], Ends],
    start: Any = "{{ params.day }}",
    on_conflict: OnConflict = "fail",
    **more: Any,
) -> None:
    """Put the work between a lock and its unlock."""
    partition = {**WRITER, "start": start, **more}
    if form == "group":
        from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock

        with partition_lock(**partition, on_conflict=on_conflict):
            work()
        return
    lock = PartitionLockOperator(task_id="lock", on_conflict=on_conflict, **partition)
    unlock = PartitionUnlockOperator(task_id="unlock", **partition)
    if form == "teardown":
        with unlock.as_teardown(setups=lock.as_setup()):
            work()
    else:
        first, last = work()
        lock >> first
        last >> unlock


def accident_dag(
    name: str,
    form: str,
    schedule: str | None = None,
    default_args: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> DAG:
    dag = DAG(
        dag_id=f"accident_{name}_{form}",
        schedule=schedule,
        start_date=datetime(2001, 1, 1, tzinfo=UTC),
        catchup=False,
        params=PARAMS,
        # 2.11 counts a running task that is cleared as one that failed and may be tried again.
        default_args={"retry_delay": SOON, **(default_args or {})},
        **arguments,
    )
    globals()[dag.dag_id] = dag
    return dag


WORK = (
    line,
    waiting_for_retry,
    retried,
    single,
    deferred,
    decider_first,
    decider_between,
    branch_with_join,
    branch_away,
    nested_groups,
)

# In a teardown's context a mapped task gets no edge: such a DAG is refused when it is parsed.
MAPPED_WORK = (mapped_last, mapped_alone)


def is_needed(ending: str) -> bool:
    """Whether DAGs whose id ends so are made: a task's process needs only its own, and making all takes long."""
    wanted = get_parsing_context().dag_id
    return wanted is None or wanted.endswith(ending)


for each_form in FORMS:
    if not is_needed(f"_{each_form}"):
        continue

    for each_work in WORK if each_form == "teardown" else (*WORK, *MAPPED_WORK):
        if is_needed(f"_{each_work.__name__}_{each_form}"):
            with accident_dag(each_work.__name__, each_form):
                between(each_form, each_work)

    # Of each accident's own, since all runs go with their DAG.
    with accident_dag("deleted", each_form):
        between(each_form, waiting_for_retry)

    with accident_dag("cleared_and_deleted", each_form):
        between(each_form, line)

    with accident_dag("timed_out", each_form, dagrun_timeout=timedelta(seconds=90)):
        between(each_form, line)

    with accident_dag("held_lock", each_form, default_args={"post_execute": held_after_the_grant}):
        between(each_form, single)

    # Whose days are all over, so that no run begins by itself.
    for on_conflict in ("fail", "wait"):
        daily = {"schedule": "@daily", "end_date": LAST_DAY, "default_args": {"poke_interval": 1.0}}
        with accident_dag(f"daily_{on_conflict}", each_form, **daily):
            between(each_form, line, on_conflict=on_conflict)

    of_held_lock = {"post_execute": held_after_the_grant, "retries": 1, "retry_delay": SOON}
    with accident_dag("held_lock_retried", each_form, default_args=of_held_lock):
        between(each_form, single)

    # Whose registry is silent at times, and which tries again.
    with accident_dag("frail", each_form, default_args={"retries": 20, "retry_delay": SOON}):
        between(each_form, line, partition_registry_conn_id="frail")

    with accident_dag("mapped_group", each_form):

        @task
        def days(params: dict[str, Any]) -> list[str]:
            return params["days"]

        @task_group
        def each_day(day: str, form: str = each_form) -> None:
            between(form, single, day)

        each_day.expand(day=days())


# A mapped lock and a mapped unlock, and work that is mapped over something else of by chance the same length.
with accident_dag("mapped_by_chance", "plain"):

    @task(task_id="days")
    def days_of_run(params: dict[str, Any]) -> list[str]:
        return params["days"]

    days_list = days_of_run()
    each_lock = PartitionLockOperator.partial(task_id="lock", **WRITER).expand(start=days_list)
    each_unlock = PartitionUnlockOperator.partial(task_id="unlock", **WRITER).expand(start=days_list)
    each_lock >> writing_each("each") >> each_unlock


if HAS_GROUP_FORM:
    from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock

    with accident_dag("followed", "group"):
        with partition_lock(**WRITER, start="{{ params.day }}") as group:
            line()
        group >> reading("after")

    for meaning in ("publish", "unchanged"):
        with accident_dag(f"decider_{meaning}", "group"):
            between("group", decider_first, on_skipped=meaning)

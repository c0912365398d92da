"""Marks by people: task instances that somebody marked as success by hand, one by one.

Airflow keeps no trace of that in a task instance, which looks as if its code had run to its end. So does a task
instance that was running when somebody marked its whole *run* as success. But marking a run says nothing about its
tasks' data: it is not recorded as a mark, and it withdraws earlier marks on single task instances of that run.

On Airflow 3 the API server notifies listeners, and the mark is kept as an XCom, in the transaction that changes the
state. On Airflow 2 no listener is notified, and the audit log is read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from airflow_provider_partition_registry.runtime.compat import IS_AIRFLOW_3

KEY = "partition_registry_mark"

Marks = dict[tuple[str, int], datetime]
"""When each mark was made, by task id and map index, by the clock of Airflow's web or API server."""

CONNECTION_FIELD = "partition_registry_conn_id"  # a templated field of all our operators, and of no others

_log = logging.getLogger(__name__)


def marks_by_people(context: Mapping[str, Any], task_ids: Collection[str]) -> Marks:
    """Which instances of these tasks of the same run a person marked as success.

    It does not say whether they are still in that state. A mark that cannot be found out counts as not made.

    :param context: that of the task that asks.
    :return: when each was marked; the map index is -1 for tasks that are not mapped.
    """
    try:
        marks = _in_xcoms(context["ti"], task_ids) if IS_AIRFLOW_3 else _in_audit_log(context, task_ids)
    except Exception:
        # For example, an XCom backend that cannot read them. Without marks, less is proved and published.
        _log.warning("Cannot look up which tasks were marked as success by hand.", exc_info=True)
        return {}
    return marks


# Airflow 3: XComs


def record_mark(task_instance: Any) -> None:
    """Record that somebody marks this task instance as success, in Airflow 3's API server, before it commits."""
    from airflow.models.xcom import XComModel

    session = _session_of(task_instance)
    if not _uses_the_registry(task_instance.dag_id, session):
        return
    mark = {"by_hand": "success", "map_index": task_instance.map_index, "at": datetime.now(UTC).isoformat()}
    with session.begin_nested():
        XComModel.set(
            key=KEY,
            value=mark,
            dag_id=task_instance.dag_id,
            task_id=task_instance.task_id,
            run_id=task_instance.run_id,
            map_index=task_instance.map_index,
            serialize=False,  # otherwise a task would pull the JSON text of it
            session=session,
        )


def withdraw_marks(dag_run: Any) -> None:
    """Withdraw the marks on task instances of this run, whose own state somebody sets by hand.

    Airflow 3 first marks the task instances that were running, as if each had been marked alone.
    """
    from airflow.models.xcom import XComModel

    session = _session_of(dag_run)
    with session.begin_nested():
        session.query(XComModel).filter_by(dag_id=dag_run.dag_id, run_id=dag_run.run_id, key=KEY).delete()


def _in_xcoms(ti: Any, task_ids: Collection[str]) -> Marks:
    marks: Marks = {}
    for task_id in task_ids:
        # As a list, since Airflow otherwise looks for an instance with the map index of the task that asks.
        for mark in ti.xcom_pull(task_ids=[task_id], key=KEY):
            if mark and mark["by_hand"] == "success":
                marks[task_id, mark["map_index"]] = datetime.fromisoformat(mark["at"])
    return marks


def _session_of(row: Any) -> Any:
    """The session in which a row is changed."""
    from airflow.settings import Session

    return cast("Any", Session).object_session(row)


def _uses_the_registry(dag_id: str, session: Any) -> bool:
    """Whether any task of the DAG uses an operator of this package; only then are marks ever asked for."""
    known = session.info.setdefault(KEY, {})
    if dag_id not in known:
        known[dag_id] = _is_one_of_ours_in(dag_id, session)
    return bool(known[dag_id])


def _is_one_of_ours_in(dag_id: str, session: Any) -> bool:
    from airflow.models.serialized_dag import SerializedDagModel

    stored = SerializedDagModel.get(dag_id, session=session)
    if stored is None or stored.data is None:
        return False
    tasks = stored.data["dag"]["tasks"]
    return any(CONNECTION_FIELD in task["__var"].get("template_fields", ()) for task in tasks)


# Airflow 2: the audit log

# Events that are logged when somebody marks tasks or a run as success, on pages or by the REST API.
_TASKS_MARKED = (
    "success",
    *("api.patch_task_instance", "ui.patch_task_instance"),
    *("api.patch_mapped_task_instance", "ui.patch_mapped_task_instance"),
    *("api.post_set_task_instances_state", "ui.post_set_task_instances_state"),
)
_RUN_MARKED = ("dagrun_success", "api.update_dag_run_state", "ui.update_dag_run_state")
# A list of runs or tasks does not log which ones were picked: they may be of this run.
_PICKED_FROM_LIST = "action_set_success"


def _in_audit_log(context: Mapping[str, Any], task_ids: Collection[str]) -> Marks:
    """The marks in the audit log, in order, for the newest try of each task instance."""
    marks: Marks = {}
    began = {
        (each.task_id, each.map_index): each.start_date
        for each in context["dag_run"].get_task_instances()
        if each.task_id in task_ids
    }
    for entry in _entries(context["ti"].dag_id, context["ti"].run_id):
        if entry.event in (*_RUN_MARKED, _PICKED_FROM_LIST):
            marks.clear()
        else:
            marks |= dict.fromkeys(_marked_by(entry, began, context), entry.dttm)
    # Marks from before a task was cleared say nothing about its newest try.
    return {key: at for key, at in marks.items() if began[key] is None or at >= began[key]}


def _entries(dag_id: str, run_id: str) -> Iterator[Any]:
    from airflow.models import Log
    from airflow.utils.session import create_session

    with create_session() as session:
        entries = session.query(Log).filter(
            # A task that ends by itself logs "success" as well, but with its try number.
            Log.event.in_((*_TASKS_MARKED, *_RUN_MARKED, _PICKED_FROM_LIST)) & Log.try_number.is_(None),
            (Log.dag_id == dag_id) | (Log.event == _PICKED_FROM_LIST),
        )
        for entry in entries.order_by(Log.id):
            run = entry.run_id or _extra(entry).get("dag_run_id")
            if run == run_id or entry.event == _PICKED_FROM_LIST:
                yield entry


def _marked_by(
    entry: Any, instances: Iterable[tuple[str, int]], context: Mapping[str, Any]
) -> set[tuple[str, int]]:
    """The task instances that an entry of the audit log says were marked as success."""
    extra = _extra(entry)
    if extra.get("new_state", "success") != "success" or _is_true(extra, "dry_run"):
        return set()
    named = _named(entry, extra, context["dag"])
    # Pages name at most one map index; tasks marked along with it are marked with all their instances.
    index = None if extra.get("map_index") is None else int(extra["map_index"])
    own = entry.task_id or extra.get("task_id")
    return {
        (task_id, map_index)
        for task_id, map_index in instances
        if task_id in named and (task_id != own or index is None or map_index == index)
    }


def _named(entry: Any, extra: Mapping[str, Any], dag: Any) -> set[str]:
    """The tasks that were marked: one or a group and, if that was chosen, those upstream and downstream of it."""
    task_id, group_id = entry.task_id or extra.get("task_id"), extra.get("group_id")
    if group_id:
        tasks = list(dag.task_group.get_task_group_dict()[group_id].iter_tasks())
    else:
        tasks = [dag.get_task(task_id)] if dag.has_task(task_id) else []
    named = {task.task_id for task in tasks}
    for task in tasks:
        if _is_true(extra, "upstream", "include_upstream"):
            named |= task.get_flat_relative_ids(upstream=True)
        if _is_true(extra, "downstream", "include_downstream"):
            named |= task.get_flat_relative_ids(upstream=False)
    return named


def _is_true(extra: Mapping[str, Any], *names: str) -> bool:
    return any(str(extra.get(name, "")).lower() == "true" for name in names)


def _extra(entry: Any) -> dict[str, Any]:
    found = json.loads(entry.extra or "{}")
    return found if isinstance(found, dict) else {}

"""The differences between Airflow's versions, in one place."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from airflow import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from airflow.providers.common.compat.sdk import (  # noqa: F401 - passed on
        AirflowFailException,
        AirflowNotFoundException,
        AirflowPlugin,
        AirflowSensorTimeout,
        AirflowSkipException,
        Asset,
        BaseBranchOperator,
        BaseHook,
        BaseNotifier,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        Connection,
        PokeReturnValue,
        SkipMixin,
        TaskGroup,
        XCom,
        XComArg,
        conf,
        get_current_context,
        hookimpl,
        mask_secret,
        redact,
    )
    from airflow.triggers.base import BaseEventTrigger  # noqa: F401 - passed on

T = TypeVar("T")

_SECRETS = (
    "airflow.sdk.log",
    "airflow.sdk.execution_time.secrets_masker",
    "airflow.utils.log.secrets_masker",
)
# Where Airflow itself has what `airflow.providers.common.compat.sdk` may lack: that module came with common-compat 1.8,
# after Airflow 2.11 and 3.0, and has all of these names since 1.22. The newest module comes first.
_MODULES = {
    "AirflowFailException": ("airflow.sdk.exceptions", "airflow.exceptions"),
    "AirflowNotFoundException": ("airflow.sdk.exceptions", "airflow.exceptions"),
    "AirflowPlugin": ("airflow.sdk.plugins_manager", "airflow.plugins_manager"),
    "AirflowSensorTimeout": ("airflow.sdk.exceptions", "airflow.exceptions"),
    "AirflowSkipException": ("airflow.sdk.exceptions", "airflow.exceptions"),
    "Asset": ("airflow.sdk", "airflow.providers.common.compat.assets"),
    "BaseBranchOperator": (
        "airflow.sdk",
        "airflow.providers.standard.operators.branch",
        "airflow.operators.branch",
    ),
    "BaseEventTrigger": ("airflow.triggers.base",),
    "BaseHook": ("airflow.sdk", "airflow.hooks.base"),
    "BaseNotifier": ("airflow.sdk", "airflow.notifications.basenotifier"),
    "BaseOperator": ("airflow.sdk", "airflow.models.baseoperator"),
    "BaseOperatorLink": ("airflow.sdk", "airflow.models.baseoperatorlink"),
    "BaseSensorOperator": ("airflow.sdk", "airflow.sensors.base"),
    "PokeReturnValue": ("airflow.sdk", "airflow.sensors.base"),
    "SkipMixin": ("airflow.sdk", "airflow.providers.standard.utils.skipmixin", "airflow.models.skipmixin"),
    "TaskGroup": ("airflow.sdk", "airflow.utils.task_group"),
    "XCom": ("airflow.sdk.execution_time.xcom", "airflow.models.xcom"),
    "XComArg": ("airflow.sdk", "airflow.models.xcom_arg"),
    "conf": ("airflow.sdk.configuration", "airflow.configuration"),
    "get_current_context": ("airflow.sdk", "airflow.operators.python"),
    "hookimpl": ("airflow.sdk._shared.listeners", "airflow.listeners"),
    "mask_secret": _SECRETS,
    "redact": _SECRETS,
}


def __getattr__(name: str) -> Any:
    """Import one of Airflow's names when it is first needed, as most processes need few of them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for module in ("airflow.providers.common.compat.sdk", *_MODULES[name]):
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError):
            continue
    if name == "BaseEventTrigger":  # Airflow 2 has none; there, what derives from it says so when it is made
        return import_module("airflow.triggers.base").BaseTrigger
    raise ImportError(f"Airflow {__version__} has no {name} where this package looks for it")


AIRFLOW_VERSION = tuple(int(part) for part in __version__.split(".")[:2])
IS_AIRFLOW_3 = AIRFLOW_VERSION >= (3, 0)

# Earlier versions have no watchers, or nothing in which a cursor could be stored together with an asset's event.
HAS_ASSET_STATE = AIRFLOW_VERSION >= (3, 3)

# In earlier versions a trigger that the scheduler starts would see the text of templates instead of their values.
CAN_START_FROM_TRIGGER = AIRFLOW_VERSION >= (3, 3)

# In earlier versions nothing in a triggerer could store the task's result.
CAN_END_IN_TRIGGERER = AIRFLOW_VERSION >= (3, 3)

# Airflow 3 may fail a task that is resumed while its worker is still finishing the deferral, which takes up to
# `[workers] min_heartbeat_interval` (5 s).
RESUME_NOT_BEFORE = 6.0 if IS_AIRFLOW_3 else 0.0  # seconds after a trigger starts


async def ask_in_thread(question: Callable[..., T], *arguments: Any) -> T:
    """Call a function that asks Airflow something from an event loop, without blocking it.

    The triggerers of Airflow 3.0 and 3.1 end if a thread asks that is not one of asgiref's, as only those know the
    loop that reads the answers.
    loop that reads the answers.
    """
    from asgiref.sync import sync_to_async  # noqa: TID251 - with as many threads as the loop has

    return await sync_to_async(question, thread_sensitive=False)(*arguments)


async def push_result(task_instance: Any, value: Any) -> None:
    """Store a task's result from inside a trigger that ends it, on Airflow 3.3.

    Airflow would store the XComs of an end event as JSON text instead of the value.
    """
    await push_xcom(task_instance, "return_value", value)


async def push_xcom(task_instance: Any, key: str, value: Any) -> None:
    """Store an XCom of a task from inside its trigger, on Airflow 3.3."""
    from airflow.sdk.execution_time.xcom import XCom

    await XCom.aset(
        key,
        value,
        dag_id=task_instance.dag_id,
        task_id=task_instance.task_id,
        run_id=task_instance.run_id,
        map_index=-1 if task_instance.map_index is None else task_instance.map_index,
    )


def skip_tasks(operator: SkipMixin, context: Mapping[str, Any], tasks: Collection[Any]) -> None:
    """Skip tasks of the same run, now and when they are cleared, as Airflow's own short circuit does.

    On Airflow 3 this ends the task, by an exception, unless it is mapped.
    """
    ti = context["ti"]
    if IS_AIRFLOW_3:
        operator.skip(ti=ti, tasks=tasks)
        return
    dag_run = context["dag_run"]
    skip: Any = operator.skip  # which has other parameters there
    skip(dag_run=dag_run, execution_date=dag_run.execution_date, tasks=tasks, map_index=ti.map_index)


def states_of_tasks(
    context: Mapping[str, Any], task_ids: Collection[str]
) -> dict[tuple[str, int], str | None]:
    """The states of tasks of the same run, by task id and map index (-1 for tasks that are not mapped)."""
    if IS_AIRFLOW_3:
        ti = context["ti"]
        # One by one, as each answer joins task id and map index, which cannot be told apart otherwise.
        return {
            (task_id, index): state
            for task_id in task_ids
            for index, state in states_of_task(ti, ti.dag_id, ti.run_id, task_id).items()
        }
    return {
        (each.task_id, each.map_index): each.state
        for each in context["dag_run"].get_task_instances()
        if each.task_id in task_ids
    }


def states_of_task(ti: Any, dag_id: str, run_id: str, task_id: str) -> dict[int, str | None]:
    """The states of one task of any run on Airflow 3, whose keys are ``task`` or ``task_2``, by map index.

    :param ti: the running task's own instance, through which it asks.
    """
    found = ti.get_task_states(dag_id=dag_id, task_ids=[task_id], run_ids=[run_id])
    return {
        -1 if key == task_id else int(key.removeprefix(f"{task_id}_")): state
        for key, state in found.get(run_id, {}).items()
    }


def pull_all(ti: Any, task_id: str, key: str) -> list[Any]:
    """The XComs with this key of all instances of a task of the same run, whatever their map index."""
    found = ti.xcom_pull(task_ids=[task_id], key=key)
    return [value for value in found or () if value is not None]


def pull_one(ti: Any, task_id: str, key: str, map_index: int) -> Any:
    """The XCom with this key of one task instance of the same run, or None."""
    return ti.xcom_pull(task_ids=task_id, key=key, map_indexes=map_index)


def is_resumed(ti: Any) -> bool:
    """Whether this process resumes a try that was deferred."""
    if IS_AIRFLOW_3:
        from_server = getattr(ti, "_ti_context_from_server", None)
        return bool(from_server and from_server.next_method)
    return bool(ti.next_method)


def calls_hooks_of(operator_class: Any) -> bool:
    """Whether Airflow calls the functions given to such operators as ``pre_execute`` and ``post_execute``.

    In Airflow 2 the methods of these names call them, and an operator may have overridden those.
    """
    if IS_AIRFLOW_3:
        return True
    from airflow.models import BaseOperator

    return (
        operator_class.pre_execute is BaseOperator.pre_execute
        and operator_class.post_execute is BaseOperator.post_execute
    )


def began_at(context: Mapping[str, Any], task_id: str, map_index: int) -> datetime | None:
    """When the newest try of a task instance of the same run began; None if Airflow does not say."""
    times = _times_of(context, task_id, map_index)
    return None if times is None else times.start_date


def ended_at(context: Mapping[str, Any], task_id: str, map_index: int) -> datetime | None:
    """When the newest try of a task instance of the same run ended; None if Airflow does not say."""
    times = _times_of(context, task_id, map_index)
    return None if times is None else times.end_date


def has_ended_by_itself(context: Mapping[str, Any], task_id: str, map_index: int) -> bool:
    """Whether the newest try of a successful task instance of the same run reached its end, as far as Airflow says.

    When a person marks a run as success, Airflow 2 also marks tasks that have not begun as successful; Airflow 3 skips
    those. In Airflow 2's audit log, a task that ends by itself leaves its try number, and a person does not.
    """
    if IS_AIRFLOW_3:
        return True
    from airflow.models import Log
    from airflow.utils.session import create_session

    found = _times_of(context, task_id, map_index)
    if found is None:
        return False
    names = ("dag_id", "run_id", "task_id", "map_index", "try_number")
    of_this_try = {name: getattr(found, name) for name in names}
    with create_session() as session:
        return session.query(Log.id).filter_by(event="success", **of_this_try).first() is not None


def _times_of(context: Mapping[str, Any], task_id: str, map_index: int) -> Any:
    if IS_AIRFLOW_3:
        return _times_from_supervisor(context, task_id, map_index)
    found = [
        each
        for each in context["dag_run"].get_task_instances()
        if (each.task_id, each.map_index) == (task_id, map_index)
    ]
    return found[0] if found else None


def _times_from_supervisor(context: Mapping[str, Any], task_id: str, map_index: int) -> Any:
    """Airflow 3 tells a task the times of instances only "before" a date, and only in runs that have one.

    Dates of runs are unique in a DAG, so the newest instance before the next microsecond is that of this run.
    """
    logical_date = getattr(context["dag_run"], "logical_date", None)
    if AIRFLOW_VERSION < (3, 2) or logical_date is None:
        return None
    from airflow.sdk.execution_time.comms import GetPreviousTI
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    ti = context["ti"]
    answer: Any = SUPERVISOR_COMMS.send(
        GetPreviousTI(
            dag_id=ti.dag_id,
            task_id=task_id,
            logical_date=logical_date + timedelta(microseconds=1),
            map_index=map_index,
        )
    )
    found = answer.task_instance
    return found if found is not None and found.run_id == ti.run_id else None


def first_rescheduled_at(context: Mapping[str, Any], retries: int | None) -> datetime | None:
    """When the first process of a rescheduled sensor began, as for its time-out; None in that process itself.

    :param retries: those of the sensor.
    """
    ti = context["ti"]
    if IS_AIRFLOW_3:
        return ti.get_first_reschedule_date(context)  # type: ignore[no-any-return]
    sensors: Any = import_module("airflow.sensors.base")
    return sensors._orig_start_date(  # type: ignore[no-any-return]
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=ti.map_index,
        try_number=(ti.max_tries or 0) - (retries or 0) + 1,
    )


_NOTE = "partition_registry_waits"


def keep_note(context: Mapping[str, Any], text: str) -> None:
    """Keep a text for the next process of the same try of a rescheduled task, whose XComs are deleted.

    On Airflow 2 it is an entry in the audit log, on Airflow 3.3 an entry in the task's state store. The versions in
    between have nothing to keep it in.
    """
    ti = context["ti"]
    if "task_state_store" in context:
        context["task_state_store"].set(_NOTE, {"try_number": ti.try_number, "text": text})
    elif not IS_AIRFLOW_3:
        from airflow.models import Log
        from airflow.utils.session import create_session

        with create_session() as session:
            session.add(Log(_NOTE, task_instance=ti, extra=text))


def read_note(context: Mapping[str, Any]) -> str:
    """The text kept last by an earlier process of the same try, or an empty one."""
    ti = context["ti"]
    if "task_state_store" in context:
        note = context["task_state_store"].get(_NOTE) or {}
        return note["text"] if note.get("try_number") == ti.try_number else ""
    return "" if IS_AIRFLOW_3 else _last_in_audit_log(ti)


def _last_in_audit_log(ti: Any) -> str:
    from airflow.models import Log
    from airflow.utils.session import create_session

    of_this_try = {
        name: getattr(ti, name) for name in ("dag_id", "task_id", "run_id", "map_index", "try_number")
    }
    with create_session() as session:
        entries = session.query(Log.extra).filter_by(event=_NOTE, **of_this_try)
        return entries.order_by(Log.id.desc()).limit(1).scalar() or ""

"""The sensor, which waits until data may be read.

DAG files that use it are parsed again and again, so what only a running task needs is imported when it runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import StartTriggerArgs

from airflow_provider_partition_registry.domain.errors import (
    HostNotFoundError,
    InvalidInputError,
    RegistryError,
    StoreRefusedError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.domain.grains import Grain, check_grain
from airflow_provider_partition_registry.domain.intervals import EARLIEST, format_instant, to_instant
from airflow_provider_partition_registry.links.partition_registry import PartitionRegistryLink, store_link
from airflow_provider_partition_registry.runtime.compat import (
    CAN_END_IN_TRIGGERER,
    CAN_START_FROM_TRIGGER,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
    first_rescheduled_at,
    keep_note,
    read_note,
)
from airflow_provider_partition_registry.runtime.errors import (
    TIMEOUT_MARGIN,
    UpstreamFailedError,
    WaitFailedError,
)
from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID, of_connection

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_partition_registry.domain.intervals import Instant
    from airflow_provider_partition_registry.domain.noting import Notes
    from airflow_provider_partition_registry.domain.waiting import OnFailed, OnMissingSource
    from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
    from airflow_provider_partition_registry.runtime.waiting import ConditionWait, Requirement, Wait

TRIGGER = "airflow_provider_partition_registry.triggers.partition_registry.PartitionReadinessTrigger"

_TEMPLATE = re.compile(r"\{[{%]")
# Matches templates that use the task instance or the results of other tasks.
_OTHER_TASKS = re.compile(r"\{[{%].*\b(ti|task_instance|xcom\w*)\b", re.DOTALL)


class PartitionReadinessSensor(BaseSensorOperator):
    """Wait until ``[start, end)`` of one or several sources may be read (R1).

    Its result (XCom) is the answer: source, interval, and ``as_of``, with which ``changed_since`` can later tell
    whether the data was rewritten; with ``requires`` a list of answers, and with ``condition`` a list of those that
    decided, each with its ``coverage`` (from 0 to 1) and what is ``missing``. The sensor waits for a registry that does
    not respond. A mistake in its connection, such as a host name that does not exist, ends the wait at once.

    :param source_name: the source to read. (templated)
    :param requires: several sources: names, or mappings with ``source_name`` and, if they differ from the sensor's
        own, ``start``, ``end``, ``published_after``. All must be ready at the same moment. (templated)
    :param condition: in place of these, what is enough of several sources, for example
        ``"all(sales, clicks else 95% after 30m, stock[-1 day])"``; see :doc:`/reference/conditions`. Periods begin when
        the sensor's ``timeout`` does. (templated)
    :param start: first instant to read; text or datetime, naive means UTC. By default the run's own interval, see
        :func:`~airflow_provider_partition_registry.runtime.interval.interval_of_run`. (templated)
    :param end: first instant after it. (templated)
    :param published_after: ask also that all of it was published at or after this instant (R8). (templated)
    :param grain: how long a partition lasts, where only a date is known: "hour", "day", "week", "month" or a timedelta.
    :param timezone: the time zone in which a named grain begins.
    :param on_failed: what a failed write upstream means: "wait" for its repair, or "fail".
    :param on_missing_source: what a source that does not exist means: "fail" at once, even with ``soft_fail``, or
        "wait" until somebody registers it.
    :param deferrable: wait in the triggerer, without a worker; ``poke_interval`` is then the longest pause between two
        questions, and ``exponential_backoff`` and ``max_wait`` have no effect. On Airflow 3.3 and later the task also
        starts there, unless it is mapped, a template needs results of other tasks, its DAG defines macros or filters
        of its own, or it has an ``execution_timeout`` or something to call before it starts; and it ends there, unless
        it has inlets, outlets, multiple outputs, or something to call on success.
    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    """

    template_fields: Sequence[str] = (
        "source_name",
        "requires",
        "condition",
        "start",
        "end",
        "published_after",
        "partition_registry_conn_id",
    )
    ui_color = "#d5ecd8"
    operator_extra_links = (PartitionRegistryLink(),)
    start_from_trigger = False

    def __init__(
        self,
        *,
        source_name: str | None = None,
        requires: Sequence[Requirement] | None = None,
        condition: str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        published_after: Instant | None = None,
        grain: Grain | None = None,
        timezone: str = "UTC",
        on_failed: OnFailed = "wait",
        on_missing_source: OnMissingSource = "fail",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        partition_registry_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_name = source_name
        self.requires = requires
        self.condition = condition
        self.start = start
        self.end = end
        self.published_after = published_after
        self.grain = None if grain is None else check_grain(grain)
        self.timezone = timezone
        self.on_failed = on_failed
        self.on_missing_source = on_missing_source
        self.deferrable = deferrable
        self.partition_registry_conn_id = partition_registry_conn_id
        self._missing = ""
        self._result: Any = None
        self._notes: Notes | None = None
        self._where: str | None = None
        self._began_at: datetime | None = None
        for name, value in (("on_failed", on_failed), ("on_missing_source", on_missing_source)):
            if value not in ("wait", "fail"):
                raise InvalidInputError(f"{name} is 'wait' or 'fail', not {value!r}.")
        if condition is not None:
            self._check_condition(condition)
        # On the instance, not the class, as mapped tasks must first expand their arguments on a worker.
        if deferrable and CAN_START_FROM_TRIGGER and not self._needs_worker():
            self.start_from_trigger = True
            self.start_trigger_args = self._start_trigger_args()

    @cached_property
    def hook(self) -> PartitionRegistryHook:
        """The registry."""
        from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook

        return PartitionRegistryHook(self.partition_registry_conn_id)

    def execute(self, context: Context) -> Any:
        """Ask once; then wait in the triggerer, or keep asking here."""
        from airflow_provider_partition_registry.triggers.partition_registry import PartitionReadinessTrigger

        if not self.deferrable:
            return self._poke_until_ready(context)
        wait = self._what_to_wait_for(context, datetime.now(UTC))
        if (result := self._ask(wait, context)) is not None:
            return result
        give_up_after = timedelta(seconds=self.timeout)
        return self.defer(
            trigger=PartitionReadinessTrigger(
                partition_registry_conn_id=self.partition_registry_conn_id,
                **wait.arguments(),
                deadline=(datetime.now(UTC) + give_up_after).isoformat(),
                told=self._notes_of(context).missing,
                **self._trigger_options(),
            ),
            method_name="execute_complete",
            timeout=give_up_after + timedelta(seconds=TIMEOUT_MARGIN),
        )

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask the registry."""
        result = self._ask(self._what_to_wait_for(context, self._began_at or datetime.now(UTC)), context)
        return PokeReturnValue(is_done=result is not None, xcom_value=result)

    def execute_complete(self, context: Context, event: Any) -> Any:
        """End the task as the trigger says."""
        if not isinstance(event, dict):
            # Where triggers run inline (dag.test) Airflow passes on only that the trigger ended the task: not what was
            # found, nor when the wait began. Alternatives that decided then count still.
            return self._ask(self._what_to_wait_for(context, EARLIEST), context)
        match event["status"]:
            case "ready":
                self._result = event["result"]
                return self._result
            case "timeout":
                raise AirflowSensorTimeout(f"Not ready within {self.timeout:g} s. {event['message']}")
            case _ if event["code"] == UpstreamFailedError.code:
                raise self._upstream_failed(event["message"])
            case _:
                raise WaitFailedError(event["message"])

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:
        """Tell OpenLineage what this task has found ready, as its input. Airflow asks only on a worker."""
        from airflow_provider_partition_registry.runtime.lineage import lineage_of_reading

        results = [self._result] if isinstance(self._result, dict) else self._result or []
        return lineage_of_reading(self.hook, results)

    def _poke_until_ready(self, context: Context) -> Any:
        # The wait begins when its time-out does: in reschedule mode that was in another process.
        earlier = first_rescheduled_at(context, self.retries) if self.reschedule else None
        self._began_at = earlier or datetime.now(UTC)
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            raise AirflowSensorTimeout(f"{error} {self._missing}") from None

    def _ask(self, wait: Wait | ConditionWait, context: Context) -> Any:
        """The result if the wait is over, otherwise None; the reasons are logged when they change."""
        where = self._link_to(wait, context)
        notes = self._notes_of(context)
        try:
            answers = self.hook.check_readiness_many(wait.questions)
            result = wait.result(answers)
        except (StoreUnavailableError, StoreRefusedError) as error:
            told = of_connection(error, self.partition_registry_conn_id)
            if not self._is_outage(error, context):
                raise told from None
            self._missing = str(told)
            self._tell(notes.take_trouble(str(told)), context)
            return None
        except UpstreamFailedError as error:
            raise self._upstream_failed(str(error)) from None
        if result is None:
            self._missing = wait.explain(answers)
            self._tell(notes.take(self._missing, where), context)
        elif self.condition is not None:
            self.log.info("%s", wait.explain(answers))
        self._result = result
        return result

    def _link_to(self, wait: Wait | ConditionWait, context: Context) -> str:
        """Store the task's link, once in a process; returns what to say about it in the log."""
        if self._where is None:
            first = wait.questions[0]
            self._where = store_link(
                context, self.partition_registry_conn_id, first.source_name, first.interval
            )
        return self._where

    def _is_outage(self, error: RegistryError, context: Context) -> bool:
        """Whether to wait until the error passes.

        If an earlier process of the same try could resolve the host's name, the name does not count as wrong.
        """
        if isinstance(error, HostNotFoundError):
            return bool(self.reschedule and read_note(context))
        return isinstance(error, StoreUnavailableError)

    def _notes_of(self, context: Context) -> Notes:
        """What was told; in reschedule mode every question has a process of its own."""
        from airflow_provider_partition_registry.domain.noting import Notes

        if self._notes is None:
            self._notes = Notes.read(read_note(context) if self.reschedule else "")
        return self._notes

    def _tell(self, text: str, context: Context) -> None:
        if text:
            self.log.info("%s", text)
            if self.reschedule:
                keep_note(context, self._notes_of(context).written())

    def _upstream_failed(self, message: str) -> Exception:
        return AirflowSkipException(message) if self.soft_fail else UpstreamFailedError(message)

    def _what_to_wait_for(self, context: Context, began_at: datetime) -> Wait | ConditionWait:
        from airflow_provider_partition_registry.runtime.waiting import WaitParameters, wait_of_run

        return wait_of_run(context, WaitParameters.of_task(self), began_at)

    def _check_condition(self, condition: Any) -> None:
        """Refuse a condition that cannot be read when the DAG is parsed, unless it is known only in a run."""
        from airflow_provider_partition_registry.domain.condition_text import read_condition
        from airflow_provider_partition_registry.runtime.waiting import check_condition_stands_alone

        is_template = isinstance(condition, str) and _TEMPLATE.search(condition)
        if not is_template and not _is_of_other_tasks(condition):
            check_condition_stands_alone(self)
            read_condition(condition)

    def _needs_worker(self) -> bool:
        """Whether something about this task can happen only on a worker.

        A triggerer has neither results of other tasks nor DAG files to render templates with. It calls nothing before
        a task starts, and would apply a limit on the execution to the wait.
        """
        own_jinja = self.has_dag() and (self.dag.user_defined_macros or self.dag.user_defined_filters)
        is_called_first = self.on_execute_callback or self._pre_execute_hook
        return bool(own_jinja or is_called_first or self.execution_timeout) or any(
            _is_of_other_tasks(getattr(self, name)) for name in self.template_fields
        )

    def _ends_on_worker(self) -> bool:
        """Whether something after success can happen only on a worker.

        That is marking assets, telling OpenLineage what was read (inlets ask for it), callbacks, and splitting results.
        """
        is_called_last = self.on_success_callback or self._post_execute_hook
        return bool(self.inlets or self.outlets or is_called_last or self.multiple_outputs)

    def _start_trigger_args(self) -> StartTriggerArgs:
        """The same wait, for a scheduler that starts it without a worker; templates are rendered in the triggerer."""
        given = {name: getattr(self, name) for name in self.template_fields}
        return StartTriggerArgs(
            trigger_cls=TRIGGER,
            trigger_kwargs={
                **{name: _as_json(each) for name, each in given.items() if each is not None},
                "grain": self.grain.total_seconds() if isinstance(self.grain, timedelta) else self.grain,
                "timezone": self.timezone,
                **self._trigger_options(),
            },
            next_method="execute_complete",
            next_kwargs=None,
            timeout=timedelta(seconds=self.timeout + TIMEOUT_MARGIN),
        )

    def _trigger_options(self) -> dict[str, Any]:
        return {
            "on_failed": self.on_failed,
            "on_missing_source": self.on_missing_source,
            "poll_interval": self.poke_interval,
            "ends_task": CAN_END_IN_TRIGGERER and not self._ends_on_worker(),
            "pushes_result": self.do_xcom_push,
            # Triggerers of former versions do not know it.
            **({} if self.condition is None else {"timeout": self.timeout}),
        }


def _is_of_other_tasks(value: Any) -> bool:
    """Whether a parameter needs the results of other tasks."""
    if isinstance(value, Mapping):
        return any(_is_of_other_tasks(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(_is_of_other_tasks(item) for item in value)
    if isinstance(value, str):
        return bool(_OTHER_TASKS.search(value))
    return hasattr(value, "resolve")  # an XComArg


def _as_json(value: Any) -> Any:
    """Templates and names as they are, and instants as text, since a trigger's arguments are stored as JSON."""
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    return value if value is None or isinstance(value, str) else format_instant(to_instant(value))

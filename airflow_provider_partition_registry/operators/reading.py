"""Operators of readers: one tells whether what was read has been rewritten, two ask once whether data may be read.

DAG files that use them are parsed again and again, so what only a running task needs is imported when it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.grains import Grain, check_grain
from airflow_provider_partition_registry.links.partition_registry import PartitionRegistryLink, store_link
from airflow_provider_partition_registry.runtime.compat import (
    AirflowFailException,
    AirflowSkipException,
    BaseBranchOperator,
    BaseOperator,
    SkipMixin,
    XComArg,
    skip_tasks,
)
from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID, naming_connection

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_partition_registry.domain.intervals import Instant
    from airflow_provider_partition_registry.runtime.answers import Answers
    from airflow_provider_partition_registry.runtime.waiting import Requirement

READING_COLOR = "#d5ecd8"  # that of the sensor

OnChanged = Literal["fail", "skip"]


class PartitionUnchangedOperator(BaseOperator):
    """Check, after data was read, that nothing of it was locked, failed or published anew since it was ready (R7).

    If anything was, the task fails, and says what, by whom and when; what was read may then be of neither version. It
    does not try again, as what has happened stays: clear the task that asked whether the data was ready, with
    everything downstream. Between a lock and its unlock the check is a part of the work: what was made of data that was
    rewritten meanwhile is not published (R12).

    If the registry cannot tell, because a backup was restored or the history was pruned, that counts as rewritten.

    :param answers: the result of the task that asked, such as ``wait.output`` of a
        :class:`~airflow_provider_partition_registry.sensors.partition_registry.PartitionReadinessSensor`: one answer,
        or a list of them, as with ``requires`` or of a mapped task. (templated)
    :param on_changed: what it means if something was rewritten: "fail", or "skip" this task and what comes after it.
    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    """

    template_fields: Sequence[str] = ("answers", "partition_registry_conn_id")
    ui_color = READING_COLOR
    operator_extra_links = (PartitionRegistryLink(),)

    def __init__(
        self,
        *,
        answers: Answers | XComArg | str,
        on_changed: OnChanged = "fail",
        partition_registry_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.answers = answers
        self.on_changed = on_changed
        self.partition_registry_conn_id = partition_registry_conn_id
        # As written in the DAG: when the task runs, the results of other tasks have taken the place of the tasks.
        self._asked_by = sorted({task.task_id for task, _ in XComArg.iter_xcom_references(answers)})
        if on_changed not in ("fail", "skip"):
            raise InvalidInputError(f"on_changed is 'fail' or 'skip', not {on_changed!r}.")

    def execute(self, context: Context) -> None:
        """Ask whether anything was rewritten.

        :raises AirflowFailException: something was.
        :raises AirflowSkipException: something was, and the task is to be skipped then.
        :raises InvalidInputError: these are no answers.
        :raises UnknownSourceError: a source does not exist any more.
        """
        from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
        from airflow_provider_partition_registry.runtime.answers import answers_of
        from airflow_provider_partition_registry.runtime.rewriting import explain_rewritten

        answers = answers_of(self.answers)  # type: ignore[arg-type]  # what was templated is rendered by now
        first = answers[0].question
        store_link(context, self.partition_registry_conn_id, first.source_name, first.interval)
        with naming_connection(self.partition_registry_conn_id):
            found = explain_rewritten(PartitionRegistryHook(self.partition_registry_conn_id).store, answers)
        if not found:
            what = answers[0].question if len(answers) == 1 else f"{len(answers)} intervals"
            self.log.info("Nothing was rewritten since it was ready: %s.", what)
            return
        told = f"{found}\nWhat was read of it may be of neither version. {self._what_to_do()}"
        raise (AirflowSkipException if self.on_changed == "skip" else AirflowFailException)(told)

    def _what_to_do(self) -> str:
        asked_by = ", ".join(self._asked_by) or "the task that asked for the data"
        return f"Clear {asked_by} with everything downstream, so that it is read again once it is ready."


class _AskingOperator(BaseOperator):
    """What the two operators below share, which document its parameters."""

    template_fields: Sequence[str] = (
        "source_name",
        "requires",
        "start",
        "end",
        "published_after",
        "partition_registry_conn_id",
    )
    ui_color = READING_COLOR
    operator_extra_links = (PartitionRegistryLink(),)

    def __init__(
        self,
        *,
        source_name: str | None = None,
        requires: Sequence[Requirement] | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        published_after: Instant | None = None,
        grain: Grain | None = None,
        timezone: str = "UTC",
        partition_registry_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_name = source_name
        self.requires = requires
        self.start = start
        self.end = end
        self.published_after = published_after
        self.grain = None if grain is None else check_grain(grain)
        self.timezone = timezone
        self.partition_registry_conn_id = partition_registry_conn_id
        self._found_ready: list[dict[str, Any]] = []

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:
        """Tell OpenLineage what this task has found ready, as its input."""
        from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
        from airflow_provider_partition_registry.runtime.lineage import lineage_of_reading

        return lineage_of_reading(PartitionRegistryHook(self.partition_registry_conn_id), self._found_ready)

    def _is_ready(self, context: Context) -> bool:
        """Ask once, and keep the answers and what they mean in the log and as XComs.

        :raises UnknownSourceError: a source does not exist.
        :raises InvalidInputError: the parameters do not say what to ask.
        """
        from airflow_provider_partition_registry.domain.explanation import explain
        from airflow_provider_partition_registry.domain.questions import Readiness
        from airflow_provider_partition_registry.domain.waiting import are_ready, missing_sources
        from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
        from airflow_provider_partition_registry.runtime.answers import as_result
        from airflow_provider_partition_registry.runtime.waiting import Wait, WaitParameters

        wait = Wait.of_run(context, WaitParameters.of_task(self))
        first = wait.questions[0]
        store_link(context, self.partition_registry_conn_id, first.source_name, first.interval)
        with naming_connection(self.partition_registry_conn_id):
            store = PartitionRegistryHook(self.partition_registry_conn_id).store
            answers = store.check_readiness_many(wait.questions)
        if missing := missing_sources(answers):
            raise missing[0]
        explanation = "\n".join(map(explain, answers))
        self.log.info("%s", explanation)
        results = [as_result(answer) for answer in answers if isinstance(answer, Readiness)]
        context["ti"].xcom_push("answers", results[0] if wait.is_single else results)
        context["ti"].xcom_push("explanation", explanation)
        is_ready = are_ready(answers)
        self._found_ready = results if is_ready else []
        return is_ready


class PartitionReadinessBranchOperator(_AskingOperator, BaseBranchOperator):
    """Ask once whether ``[start, end)`` of one or several sources may be read (R1), and branch by the answer.

    It keeps what it was told as XComs: ``answers``, as the result of a
    :class:`~airflow_provider_partition_registry.sensors.partition_registry.PartitionReadinessSensor`, for which
    ``branch.output["answers"]`` stands in a DAG, and ``explanation``, the reasons in words. Its result is what it
    chose, as with every branch.

    :param follow_task_ids_if_ready: the task or task group, or a list of them, to go on with if all is ready.
    :param follow_task_ids_if_not_ready: the same if it is not; by default nothing downstream is run then.
    :param source_name: the source to read. (templated)
    :param requires: several sources: names, or mappings with ``source_name`` and, if they differ from the task's own,
        ``start``, ``end``, ``published_after``. All must be ready at the same moment. (templated)
    :param start: first instant to read; text or datetime, naive means UTC. By default the run's own interval, see
        :func:`~airflow_provider_partition_registry.runtime.interval.interval_of_run`. (templated)
    :param end: first instant after it. (templated)
    :param published_after: ask also that all of it was published at or after this instant (R8). (templated)
    :param grain: how long a partition lasts, where only a date is known: "hour", "day", "week", "month" or a timedelta.
    :param timezone: the time zone in which a named grain begins.
    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    """

    def __init__(
        self,
        *,
        follow_task_ids_if_ready: str | Iterable[str],
        follow_task_ids_if_not_ready: str | Iterable[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.follow_task_ids_if_ready = follow_task_ids_if_ready
        self.follow_task_ids_if_not_ready = follow_task_ids_if_not_ready

    def choose_branch(self, context: Context) -> str | Iterable[str]:
        """Ask, and say what to go on with.

        :raises UnknownSourceError: a source does not exist.
        :raises InvalidInputError: the parameters do not say what to ask.
        """
        is_ready = self._is_ready(context)
        return self.follow_task_ids_if_ready if is_ready else self.follow_task_ids_if_not_ready


class PartitionReadinessShortCircuitOperator(_AskingOperator, SkipMixin):
    """Ask once whether ``[start, end)`` of one or several sources may be read (R1); if not, skip what comes after.

    It keeps what it was told as XComs: ``answers``, as the result of a
    :class:`~airflow_provider_partition_registry.sensors.partition_registry.PartitionReadinessSensor`, for which
    ``ask.output["answers"]`` stands in a DAG, and ``explanation``, the reasons in words.

    :param ignore_downstream_trigger_rules: if it is not ready, skip everything downstream but teardowns, as Airflow's
        own short circuit does; otherwise only the tasks directly downstream, and the trigger rules decide further on.
    :param source_name: the source to read. (templated)
    :param requires: several sources: names, or mappings with ``source_name`` and, if they differ from the task's own,
        ``start``, ``end``, ``published_after``. All must be ready at the same moment. (templated)
    :param start: first instant to read; text or datetime, naive means UTC. By default the run's own interval, see
        :func:`~airflow_provider_partition_registry.runtime.interval.interval_of_run`. (templated)
    :param end: first instant after it. (templated)
    :param published_after: ask also that all of it was published at or after this instant (R8). (templated)
    :param grain: how long a partition lasts, where only a date is known: "hour", "day", "week", "month" or a timedelta.
    :param timezone: the time zone in which a named grain begins.
    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    """

    inherits_from_skipmixin = True

    def __init__(self, *, ignore_downstream_trigger_rules: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_downstream_trigger_rules = ignore_downstream_trigger_rules

    def execute(self, context: Context) -> bool:
        """Ask, and skip what comes after if it is not ready.

        :raises UnknownSourceError: a source does not exist.
        :raises InvalidInputError: the parameters do not say what to ask.
        """
        is_ready = self._is_ready(context)
        if not is_ready:
            task = context["task"]
            every = self.ignore_downstream_trigger_rules
            after = (task.get_flat_relatives if every else task.get_direct_relatives)(upstream=False)
            skip_tasks(self, context, [each for each in after if not each.is_teardown])
        return is_ready

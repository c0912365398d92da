"""Notifiers that tell people why data is still not ready, and which locks are held for long.

They are used as callbacks of tasks and DAGs, and for deadline alerts. What they say is passed on to another notifier,
which sends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_provider_partition_registry.domain.errors import InvalidInputError, RegistryError
from airflow_provider_partition_registry.domain.grains import Grain, check_grain
from airflow_provider_partition_registry.runtime.compat import AirflowNotFoundException, BaseNotifier
from airflow_provider_partition_registry.runtime.conflicts import in_seconds
from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID, naming_connection
from airflow_provider_partition_registry.runtime.telling import Teller, check_teller, tell, tell_in_loop

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_partition_registry.domain.intervals import Instant
    from airflow_provider_partition_registry.domain.models import Partition
    from airflow_provider_partition_registry.runtime.settings import ConnectionSettings
    from airflow_provider_partition_registry.runtime.waiting import Requirement
    from airflow_provider_partition_registry.store.contract import RegistryReader


class _RegistryNotifier(BaseNotifier):
    """Asks the registry, and passes on what there is to say, in either of the ways in which Airflow calls notifiers.

    Whoever is to be told is also told if the registry could not be asked: an alert must not be silent because of what
    it warns of.
    """

    question: str

    def __init__(
        self,
        *,
        tell: Teller | None = None,
        partition_registry_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tell = None if tell is None else check_teller(tell)
        self.partition_registry_conn_id = partition_registry_conn_id
        self._render_error: str | None = None

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """As Airflow's, but a template that cannot be rendered is told of."""
        try:
            super().render_template_fields(context, jinja_env)
        except Exception as error:
            self._render_error = f"A template cannot be rendered: {error!r}"

    def notify(self, context: Context) -> None:
        """Ask, and tell if there is something to say."""
        from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook

        try:
            self._require_rendered()
            settings = PartitionRegistryHook(self.partition_registry_conn_id).settings
            explanation = self._ask(settings, context)
        except (RegistryError, AirflowNotFoundException) as error:
            explanation = self._unanswered(error)
        if teller := self._teller(explanation, context):
            tell(teller, context)

    async def async_notify(self, context: Context) -> None:
        """The same in a triggerer, where nothing may block."""
        from airflow_provider_partition_registry.runtime.connections import shared_settings

        try:
            self._require_rendered()
            settings = await shared_settings(self.partition_registry_conn_id)
            explanation = await asyncio.to_thread(self._ask, settings, context)
        except (RegistryError, AirflowNotFoundException) as error:
            explanation = self._unanswered(error)
        if teller := self._teller(explanation, context):
            await tell_in_loop(teller, context)

    def explain(self, store: RegistryReader, context: Mapping[str, Any]) -> str:
        """What there is to say; empty if there is nothing."""
        raise NotImplementedError

    def _require_rendered(self) -> None:
        if self._render_error is not None:
            raise InvalidInputError(self._render_error)

    def _ask(self, settings: ConnectionSettings, context: Context) -> str:
        with naming_connection(self.partition_registry_conn_id), settings.open() as store:
            return self.explain(store, context)

    def _unanswered(self, error: Exception) -> str:
        return f"{self.question} is not known. {error}"

    def _teller(self, explanation: str, context: Any) -> Teller | None:
        """Whoever is to be told of it, who finds it in the context."""
        if not explanation:
            self.log.info("There is nothing to tell.")
            return None
        self.log.warning("%s", explanation)
        context["explanation"] = explanation
        return self.tell


class PartitionNotReadyNotifier(_RegistryNotifier):
    """Tell people why ``[start, end)`` of one or several sources is still not ready, with all reasons (R2).

    Nobody is told anything if it has become ready meanwhile. It asks anew, so it is of use wherever Airflow calls
    notifiers: as ``on_failure_callback`` of a sensor or a DAG, or for a deadline alert (Airflow 3.1 and later).

    :param tell: who sends it: another notifier, such as ``SlackNotifier(text="{{ explanation }}")``, or a function that
        takes the context. Both find the text in the context as ``explanation``. For a deadline alert, whose arguments
        Airflow stores as JSON, a mapping: ``{"path": "package.module.SlackNotifier", "kwargs": {...}}``. By default it
        is only logged.
    :param source_name: the source to read. (templated)
    :param requires: several sources: names, or mappings with ``source_name`` and, if they differ from the notifier's
        own, ``start``, ``end``, ``published_after``. (templated)
    :param start: first instant to read; text or datetime, naive means UTC. By default the run's own interval, see
        :func:`~airflow_provider_partition_registry.runtime.interval.interval_of_run`. (templated)
    :param end: first instant after it. (templated)
    :param published_after: ask also that all of it was published at or after this instant (R8). (templated)
    :param grain: how long a partition lasts, where only a date is known: "hour", "day", "week", "month" or a timedelta.
    :param timezone: the time zone in which a named grain begins.
    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    """

    template_fields: Sequence[str] = (
        "source_name",
        "requires",
        "start",
        "end",
        "published_after",
        "partition_registry_conn_id",
    )
    question = "Whether the data is ready"

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

    def explain(self, store: RegistryReader, context: Mapping[str, Any]) -> str:
        """Why it is not ready."""
        from airflow_provider_partition_registry.domain.waiting import explain_missing
        from airflow_provider_partition_registry.runtime.waiting import Wait, WaitParameters

        wait = Wait.of_run(_with_run(context), WaitParameters.of_task(self))
        return explain_missing(store.check_readiness_many(wait.questions))


class PartitionLockHeldNotifier(_RegistryNotifier):
    """Tell people which locks have been held for longer than they should be, by whom and since when.

    Nobody is told anything if there are none. A lock counts from when it was granted last; one whose lease is over
    counts until somebody else takes it or ends it.

    :param longer_than: for how long, as a timedelta or in seconds.
    :param tell: who sends it, see :class:`PartitionNotReadyNotifier`.
    :param source_name: only locks of this source. (templated)
    :param provider_name: only locks of this provider. (templated)
    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    """

    template_fields: Sequence[str] = ("source_name", "provider_name", "partition_registry_conn_id")
    question = "Which locks are held for long"

    def __init__(
        self,
        *,
        longer_than: timedelta | float,
        source_name: str | None = None,
        provider_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.longer_than = timedelta(seconds=in_seconds(longer_than))
        self.source_name = source_name
        self.provider_name = provider_name

    def explain(self, store: RegistryReader, context: Mapping[str, Any]) -> str:
        """Which locks are held, and by whom."""
        from airflow_provider_partition_registry.domain.explanation import explain_locks
        from airflow_provider_partition_registry.store.paging import all_items

        before = datetime.now(UTC) - self.longer_than
        held = [
            each for each in all_items(store.list_locks) if self._is_about(each) and each.changed_at < before
        ]
        if not held:
            return ""
        return "\n  ".join([f"Locked for longer than {self.longer_than}:", *explain_locks(held)])

    def _is_about(self, locked: Partition) -> bool:
        return (self.source_name in (None, locked.source_name)) and (
            self.provider_name in (None, locked.provider_name)
        )


def _with_run(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """The context with the run as an object; that of a deadline alert has it as plain data."""
    run = context.get("dag_run")
    return {**context, "dag_run": SimpleNamespace(**run)} if isinstance(run, Mapping) else context

"""The hook: a partition registry behind an Airflow connection."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from airflow_provider_partition_registry.domain.errors import (
    AdministratorTokenError,
    RegistryError,
)
from airflow_provider_partition_registry.domain.intervals import Instant, Interval
from airflow_provider_partition_registry.domain.principals import (
    IssuedToken,
    Principal,
    ProviderRegistration,
    SourceRegistration,
)
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from airflow_provider_partition_registry.get_provider_info import CONN_FIELDS, UI_FIELD_BEHAVIOUR
from airflow_provider_partition_registry.runtime.answers import Answers, answers_of
from airflow_provider_partition_registry.runtime.compat import AirflowNotFoundException, BaseHook, mask_secret
from airflow_provider_partition_registry.runtime.connections import (
    missing_connection,
    read_connection,
    settings_of,
)
from airflow_provider_partition_registry.runtime.rewriting import was_rewritten
from airflow_provider_partition_registry.runtime.settings import (
    CONN_TYPE,
    DEFAULT_CONN_ID,
    ConnectionSettings,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_partition_registry.domain.questions import Answer
    from airflow_provider_partition_registry.store.contract import RegistryStore


class PartitionRegistryHook(BaseHook):
    """Talk to a partition registry.

    The hook has the methods that DAG authors need, with intervals given by their ends, as anything that
    :func:`~airflow_provider_partition_registry.domain.intervals.to_instant` accepts. It also has the methods that
    return an access token, which it keeps out of the logs. For everything else :meth:`get_conn` returns the whole
    :class:`~airflow_provider_partition_registry.store.contract.RegistryStore`, whose methods say what they mean and
    raise.

    :param partition_registry_conn_id: the Airflow connection of type ``partition_registry``.
    """

    conn_name_attr = "partition_registry_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONN_TYPE
    hook_name = "Partition Registry"

    def __init__(self, partition_registry_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.partition_registry_conn_id = partition_registry_conn_id

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Labels of the connection form's standard fields, for Airflow 2."""
        return {
            "hidden_fields": UI_FIELD_BEHAVIOUR["hidden-fields"],
            "relabeling": UI_FIELD_BEHAVIOUR["relabeling"],
            "placeholders": UI_FIELD_BEHAVIOUR["placeholders"],
        }

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The connection form's own fields, for Airflow 2; Airflow 3 reads them from the package's metadata."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import StringField

        return {
            name: StringField(field["label"], description=field["description"], widget=BS3TextFieldWidget())
            for name, field in CONN_FIELDS.items()
        }

    @cached_property
    def settings(self) -> ConnectionSettings:
        """The connection's settings.

        :raises RegistryConnectionNotFoundError: there is no such connection.
        :raises InvalidInputError: it does not say where the registry is.
        """
        return settings_of(self._find_connection())

    @cached_property
    def store(self) -> RegistryStore:
        """The registry; the first call connects."""
        return self.settings.open()

    def get_conn(self) -> RegistryStore:
        """The registry's store."""
        return self.store

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the registry answers, for the Test button. Creates nothing."""
        try:
            # Not self.settings, whose errors name the connection: Airflow tests a form under a random name.
            settings = read_connection(self._find_connection())
            with settings.open() as store:
                store.ping()
                whose = _whose_token(settings, store)
                has_sources = bool(store.list_sources(limit=1).items)
        except (RegistryError, AirflowNotFoundException) as error:
            return False, str(error)
        return True, f"The registry answers{whose}{'' if has_sources else '; it has no sources yet'}."

    def check_readiness(
        self, source_name: str, start: Instant, end: Instant, *, published_after: datetime | None = None
    ) -> Readiness:
        """Say whether ``[start, end)`` of the source may be read, and if not, why."""
        return self.store.check_readiness(source_name, Interval(start, end), published_after)

    def check_readiness_many(self, questions: Sequence[Question], *, explain: bool = True) -> list[Answer]:
        """Answer many questions at once."""
        return self.store.check_readiness_many(questions, explain=explain)

    @overload
    def changed_since(self, source_name: Answers) -> bool: ...
    @overload
    def changed_since(self, source_name: str, start: Instant, end: Instant, as_of: int) -> bool: ...
    def changed_since(
        self,
        source_name: str | Answers,
        start: Instant | None = None,
        end: Instant | None = None,
        as_of: int | None = None,
    ) -> bool:
        """Say whether anything in ``[start, end)`` was rewritten after an earlier answer (R7).

        :param source_name: the source; or, alone, the result of a
            :class:`~airflow_provider_partition_registry.sensors.partition_registry.PartitionReadinessSensor`: an
            answer or a list of them, of which any may have been rewritten.
        :param as_of: from the earlier answer.
        :raises InvalidInputError: what is given alone is no such result.
        :raises UnknownSourceError: no such source.
        """
        if start is None or end is None or as_of is None:
            return any(was_rewritten(self.store, answer) for answer in answers_of(source_name))
        return self.store.changed_since(str(source_name), Interval(start, end), as_of)

    def register_source(self, source_name: str, owner: str, *, uri: str | None = None) -> SourceRegistration:
        """Register a source and return its access token, which is shown only this once.

        :param uri: the real address of its data, under which lineage knows it.
        """
        registration = self.store.register_source(source_name, owner, uri=uri)
        mask_secret(registration.access_token)
        return registration

    def register_provider(
        self, provider_name: str, access_token: str, *, provider_token: str | None = None
    ) -> ProviderRegistration:
        """Register a provider with a source's access token. A new provider's own token is returned only this once.

        :param provider_token: with which an existing provider agrees; by default that of the connection.
        """
        mask_secret(access_token)
        if provider_token is not None:
            mask_secret(provider_token)
        registration = self.store.register_provider(
            provider_name, access_token, provider_token=provider_token
        )
        if registration.access_token is not None:
            mask_secret(registration.access_token)
        return registration

    def rotate_token(
        self,
        principal: Principal,
        *,
        overlap: timedelta = timedelta(0),
        expires_in: timedelta | None = None,
    ) -> IssuedToken:
        """Issue a new access token for a source or a provider, and end its other tokens."""
        issued = self.store.rotate_token(principal, overlap=overlap, expires_in=expires_in)
        mask_secret(issued.access_token)
        return issued

    def _find_connection(self) -> Connection:
        try:
            return self.get_connection(self.partition_registry_conn_id)
        except AirflowNotFoundException as error:
            raise missing_connection(self.partition_registry_conn_id) from error


def _whose_token(settings: ConnectionSettings, store: RegistryStore) -> str:
    """Say whose the access token is to a web service. Reading may be open, so a wrong one would go unnoticed."""
    if not settings.is_service:
        return ""
    if settings.access_token is None:
        return ". It was given no access token, which writing takes unless the service is an open one"
    try:
        return (
            f" and knows the access token as that of {store.identify_token(settings.access_token).principal}"
        )
    except AdministratorTokenError:
        return (
            " and knows the access token as its administrator's, which may write as every provider. Give each Airflow "
            "the token of a provider of its own instead, so that one that leaks does not open everything"
        )

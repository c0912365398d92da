"""Which provider a task acts as, and what its error says if a web service denies that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from airflow_provider_partition_registry.domain.errors import AccessDeniedError


class ActingSettings(Protocol):
    """The settings of an Airflow connection that decide who acts over it."""

    @property
    def provider(self) -> str | None:
        """The provider that tasks act as unless they name another one."""

    @property
    def is_service(self) -> bool:
        """Whether the registry is behind a web service, rather than in a database."""


def acting_provider(provider_name: str | None, settings: ActingSettings, dag_id: str) -> str:
    """The provider that a task acts as: the one it names, else the connection's, else its DAG's id."""
    if provider_name is not None:  # An empty one is a template that rendered to nothing.
        return provider_name
    return settings.provider or dag_id


@contextmanager
def access_explained(provider_name: str, settings: ActingSettings, conn_id: str) -> Iterator[None]:
    """If a web service denies access, add to the error which settings in Airflow decide who a task acts as.

    :raises AccessDeniedError: with these sentences added.
    """
    try:
        yield
    except AccessDeniedError as error:
        if not settings.is_service:
            raise
        raise error.continued(
            f"This task acts as provider {provider_name!r} over the Airflow connection {conn_id!r}, whose password is "
            f"the access token. If the token is another provider's, name that one in the connection's field Provider "
            f"(without it, tasks act as their DAG's id), or give this task a connection of its own "
            f"(partition_registry_conn_id)."
        ) from None

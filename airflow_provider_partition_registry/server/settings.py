"""The service's settings. They are passed in the environment, so that all worker processes read the same."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.moments import read_duration
from airflow_provider_partition_registry.store.factory import check_standby, is_database

DATABASE_URL = "PARTITION_REGISTRY_DATABASE_URL"
STANDBY_URL = "PARTITION_REGISTRY_STANDBY_URL"
ADMINISTRATOR_TOKEN = "PARTITION_REGISTRY_ADMINISTRATOR_TOKEN"  # noqa: S105 - the name of a variable
OPEN = "PARTITION_REGISTRY_OPEN"
OPEN_TO_THE_NETWORK = "PARTITION_REGISTRY_OPEN_TO_THE_NETWORK"
PRIVATE_READS = "PARTITION_REGISTRY_PRIVATE_READS"
CONNECTIONS = "PARTITION_REGISTRY_CONNECTIONS"
WRONG_TOKENS_PER_MINUTE = "PARTITION_REGISTRY_WRONG_TOKENS_PER_MINUTE"
KEEP_HISTORY = "PARTITION_REGISTRY_KEEP_HISTORY"

DEFAULT_CONNECTIONS = 8
DEFAULT_WRONG_TOKENS_PER_MINUTE = 20
SHORTEST_ADMINISTRATOR_TOKEN = 16
SECOND = timedelta(seconds=1)
SHORTEST_HISTORY = timedelta(days=1)
_FLAGS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


@dataclass(frozen=True)
class ServiceSettings:
    """The service's settings.

    :param database_url: the registry it serves, in a database, as
        :func:`~airflow_provider_partition_registry.store.factory.open_store` takes it.
    :param standby_url: of a standby of that database in PostgreSQL, which answers who accepts older answers.
    :param administrator_token: its holder may do everything, and nobody else may register sources. Without such a token
        anybody may register sources.
    :param is_open: whether writing takes no credentials, for trials on one host.
    :param is_open_to_the_network: whether that applies to other hosts as well.
    :param has_private_reads: whether reading takes a token as well, of any source or provider.
    :param connections: how many database connections a worker process keeps at most for reading, and as many again for
        writing.
    :param wrong_tokens_per_minute: how many wrong access tokens an address may send to a worker process per minute.
    :param keep_history: how much of the history is kept, at least a day; what is older is removed once a day. None
        removes nothing.
    """

    database_url: str = field(repr=False)
    administrator_token: str | None = field(default=None, repr=False)
    is_open: bool = False
    is_open_to_the_network: bool = False
    has_private_reads: bool = False
    connections: int = DEFAULT_CONNECTIONS
    wrong_tokens_per_minute: int = DEFAULT_WRONG_TOKENS_PER_MINUTE
    standby_url: str | None = field(default=None, repr=False)
    keep_history: timedelta | None = None

    def __post_init__(self) -> None:
        if not is_database(self.database_url):
            raise InvalidInputError(
                "A service serves the registry in a database: the URL starts with postgresql:// or sqlite:///."
            )
        if self.standby_url is not None:
            check_standby(self.database_url, self.standby_url)
        token = self.administrator_token
        if token is not None and len(token) < SHORTEST_ADMINISTRATOR_TOKEN:
            raise InvalidInputError(
                f"An administrator token has at least {SHORTEST_ADMINISTRATOR_TOKEN} characters, which nobody can "
                f"guess. Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        if self.keep_history is not None and self.keep_history < SHORTEST_HISTORY:
            raise InvalidInputError(
                "At least a day of the history is kept (1d): who follows it needs time to catch up after a pause."
            )

    @property
    def is_for_this_host_alone(self) -> bool:
        """Whether to refuse callers on other hosts, as no credentials are needed."""
        return self.is_open and not self.is_open_to_the_network

    def as_environment(self) -> dict[str, str]:
        """The environment variables that give worker processes these settings."""
        return {
            DATABASE_URL: self.database_url,
            STANDBY_URL: self.standby_url or "",
            ADMINISTRATOR_TOKEN: self.administrator_token or "",
            OPEN: str(self.is_open),
            OPEN_TO_THE_NETWORK: str(self.is_open_to_the_network),
            PRIVATE_READS: str(self.has_private_reads),
            CONNECTIONS: str(self.connections),
            WRONG_TOKENS_PER_MINUTE: str(self.wrong_tokens_per_minute),
            KEEP_HISTORY: "" if self.keep_history is None else f"{self.keep_history // SECOND}s",
        }

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> ServiceSettings:
        """Read the settings from environment variables.

        :raises InvalidInputError: a variable is missing or not valid.
        """
        if not environment.get(DATABASE_URL):
            raise InvalidInputError(f"{DATABASE_URL} does not say which registry to serve.")
        return cls(
            database_url=environment[DATABASE_URL],
            standby_url=environment.get(STANDBY_URL) or None,
            administrator_token=environment.get(ADMINISTRATOR_TOKEN) or None,
            is_open=_flag(environment, OPEN),
            is_open_to_the_network=_flag(environment, OPEN_TO_THE_NETWORK),
            has_private_reads=_flag(environment, PRIVATE_READS),
            connections=_number(environment, CONNECTIONS, DEFAULT_CONNECTIONS),
            wrong_tokens_per_minute=_number(
                environment, WRONG_TOKENS_PER_MINUTE, DEFAULT_WRONG_TOKENS_PER_MINUTE
            ),
            keep_history=_duration(environment, KEEP_HISTORY),
        )


def is_this_host(name: str) -> bool:
    """Whether a name or an address leads to the host that uses it."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _flag(environment: Mapping[str, str], name: str) -> bool:
    text = environment.get(name, "").strip().lower() or "off"
    if text not in _FLAGS:
        raise InvalidInputError(f"{name} is one of {', '.join(_FLAGS)}, not {text!r}.")
    return _FLAGS[text]


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip() or str(default)
    if not text.isascii() or not text.isdigit():
        raise InvalidInputError(f"{name} is a number, not {text!r}.")
    return int(text)


def _duration(environment: Mapping[str, str], name: str) -> timedelta | None:
    text = environment.get(name, "").strip()
    try:
        return read_duration(text) if text else None
    except InvalidInputError as error:
        raise InvalidInputError(f"{name}: {error.message}") from None

"""How a service is set up. It is told by the environment, so that several worker processes read the same."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.store.factory import is_database

DATABASE_URL = "PARTITION_REGISTRY_DATABASE_URL"
ADMINISTRATOR_TOKEN = "PARTITION_REGISTRY_ADMINISTRATOR_TOKEN"  # noqa: S105 - the name of a variable
OPEN = "PARTITION_REGISTRY_OPEN"
OPEN_TO_THE_NETWORK = "PARTITION_REGISTRY_OPEN_TO_THE_NETWORK"
PRIVATE_READS = "PARTITION_REGISTRY_PRIVATE_READS"
CONNECTIONS = "PARTITION_REGISTRY_CONNECTIONS"
WRONG_TOKENS_PER_MINUTE = "PARTITION_REGISTRY_WRONG_TOKENS_PER_MINUTE"

DEFAULT_CONNECTIONS = 8
DEFAULT_WRONG_TOKENS_PER_MINUTE = 20
SHORTEST_ADMINISTRATOR_TOKEN = 16
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
    """How a service is set up.

    :param database_url: the registry it serves, in a database, as
        :func:`~airflow_provider_partition_registry.store.factory.open_store` takes it.
    :param administrator_token: whoever has it may do everything, and nobody else may register sources. Without one
        anybody may register sources.
    :param is_open: writing takes no credentials: for trials on one host.
    :param is_open_to_the_network: not only on one host.
    :param has_private_reads: reading takes a token as well, whosever it is.
    :param connections: how many connections to the database a worker process keeps at most for reading, and how many
        for writing.
    :param wrong_tokens_per_minute: how many wrong access tokens a worker process lets an address try.
    """

    database_url: str = field(repr=False)
    administrator_token: str | None = field(default=None, repr=False)
    is_open: bool = False
    is_open_to_the_network: bool = False
    has_private_reads: bool = False
    connections: int = DEFAULT_CONNECTIONS
    wrong_tokens_per_minute: int = DEFAULT_WRONG_TOKENS_PER_MINUTE

    def __post_init__(self) -> None:
        if not is_database(self.database_url):
            raise InvalidInputError(
                "A service serves the registry in a database: the URL starts with postgresql:// or sqlite:///."
            )
        token = self.administrator_token
        if token is not None and len(token) < SHORTEST_ADMINISTRATOR_TOKEN:
            raise InvalidInputError(
                f"An administrator token has at least {SHORTEST_ADMINISTRATOR_TOKEN} characters, which nobody can "
                f"guess. Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )

    @property
    def is_for_this_host_alone(self) -> bool:
        """Whether nobody on another host is to be let in, as nobody needs credentials."""
        return self.is_open and not self.is_open_to_the_network

    def as_environment(self) -> dict[str, str]:
        """The variables that say the same, for worker processes."""
        return {
            DATABASE_URL: self.database_url,
            ADMINISTRATOR_TOKEN: self.administrator_token or "",
            OPEN: str(self.is_open),
            OPEN_TO_THE_NETWORK: str(self.is_open_to_the_network),
            PRIVATE_READS: str(self.has_private_reads),
            CONNECTIONS: str(self.connections),
            WRONG_TOKENS_PER_MINUTE: str(self.wrong_tokens_per_minute),
        }

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> ServiceSettings:
        """Read the variables.

        :raises InvalidInputError: one is missing or makes no sense.
        """
        if not environment.get(DATABASE_URL):
            raise InvalidInputError(f"{DATABASE_URL} does not say which registry to serve.")
        return cls(
            database_url=environment[DATABASE_URL],
            administrator_token=environment.get(ADMINISTRATOR_TOKEN) or None,
            is_open=_flag(environment, OPEN),
            is_open_to_the_network=_flag(environment, OPEN_TO_THE_NETWORK),
            has_private_reads=_flag(environment, PRIVATE_READS),
            connections=_number(environment, CONNECTIONS, DEFAULT_CONNECTIONS),
            wrong_tokens_per_minute=_number(
                environment, WRONG_TOKENS_PER_MINUTE, DEFAULT_WRONG_TOKENS_PER_MINUTE
            ),
        )


def is_this_host(name: str) -> bool:
    """Whether a name or an address leads to the very host that uses it."""
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

"""Options that commands share: where the registry is, and which partition is meant."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, TypeVar

import click

from airflow_provider_partition_registry.cli.instants import interval_options
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey

if TYPE_CHECKING:
    from airflow_provider_partition_registry.store.contract import RegistryStore

Function = TypeVar("Function", bound=Callable[..., Any])

URL_VARIABLE = "PARTITION_REGISTRY_URL"
TOKEN_VARIABLE = "PARTITION_REGISTRY_ACCESS_TOKEN"  # noqa: S105 - the name of a variable
PROVIDER_TOKEN_VARIABLE = "PARTITION_REGISTRY_PROVIDER_TOKEN"  # noqa: S105 - the name of a variable
CA_FILE_VARIABLE = "PARTITION_REGISTRY_CA_FILE"
URL_HELP = (
    "The registry: https://host of a web service, postgresql://user:password@host:5432/database, or "
    "sqlite:////path/registry.db."
)
NO_URL = (
    f"No registry given. Set {URL_VARIABLE}, or pass --url, for instance https://registry.example.com of a web "
    f"service, postgresql://user:password@host:5432/database, or sqlite:////var/lib/registry.db for one host"
)
VARIABLES = {
    URL_VARIABLE: "the registry, unless --url is given",
    TOKEN_VARIABLE: "access token for a web service; a database needs none",
    CA_FILE_VARIABLE: "certificate authorities to trust for a web service, instead of this host's",
}
"""The environment variables that every command reads, for ``--help``."""


@dataclass(slots=True)
class Options:
    """The options given before the command's own; they are passed along as the context's ``obj``."""

    url: str | None = None

    def require_url(self) -> str:
        """The registry's URL.

        :raises click.UsageError: none was given.
        """
        if not self.url:
            raise click.UsageError(NO_URL)
        return self.url

    def new_store(self, pool_size: int = 1) -> RegistryStore:
        """Make the store. SQLAlchemy is imported only now, and the first call connects.

        :param pool_size: how many threads call it at once.
        """
        from airflow_provider_partition_registry.store.factory import open_store

        return open_store(
            self.require_url(),
            pool_size=pool_size,
            access_token=os.environ.get(TOKEN_VARIABLE),
            verify=os.environ.get(CA_FILE_VARIABLE) or True,
        )

    @contextmanager
    def open_store(self, pool_size: int = 1) -> Iterator[RegistryStore]:
        """Open the registry, close it in the end, and let errors about misspelt names suggest the right ones."""
        from airflow_provider_partition_registry.store.suggesting import suggesting

        with self.new_store(pool_size) as store, suggesting(store):
            yield store

    @contextmanager
    def open_existing_store(self, pool_size: int = 1) -> Iterator[RegistryStore]:
        """As :meth:`open_store`, for commands that only read: they do not create a SQLite registry at a mistyped path.

        :raises SchemaMissingError: there is no registry.
        """
        with self.open_store(pool_size) as store:
            if self.require_url().startswith("sqlite:"):
                store.ping()
            yield store


def partition_arguments(function: Function) -> Function:
    """Add the arguments that name one partition, SOURCE PROVIDER --start --end; the function gets it as ``key``."""

    def with_key(*args: Any, source_name: str, provider_name: str, interval: Interval, **values: Any) -> Any:
        return function(*args, key=PartitionKey(source_name, provider_name, interval), **values)

    command = interval_options(update_wrapper(with_key, function))
    command = click.argument("provider_name", metavar="PROVIDER")(command)
    return click.argument("source_name", metavar="SOURCE")(command)  # type: ignore[return-value]


def lock_options(function: Function) -> Function:
    """Add the options that say whose lock it is; a call may give one of them."""

    def with_one(*args: Any, holder: str | None, generation: int | None, **values: Any) -> Any:
        if holder is not None and generation is not None:
            raise click.UsageError("Give --holder or --generation, not both")
        return function(*args, holder=holder, generation=generation, **values)

    command = update_wrapper(with_one, function)
    holder = click.option(
        "--holder",
        metavar="IDENTITY",
        help="The identity that was given to lock; by default the provider's name.",
    )
    generation = click.option(
        "--generation",
        type=click.IntRange(min=0),
        metavar="N",
        help="The generation that lock printed, instead of a holder.",
    )
    return generation(holder(command))  # type: ignore[return-value]


def common_options(function: Function) -> Function:
    """Add the options that every command takes: ``--json``, and ``--url`` for those who write it after the command."""
    with_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, errors included.")(function)
    return click.option(
        "--url",
        metavar="URL",
        expose_value=False,
        callback=_remember_url,
        help=f"Overrides {URL_VARIABLE}.",
    )(with_json)


def decision_options(function: Function) -> Function:
    """Add the options for overruling a provider: ``--reason`` and ``--by``."""
    by = click.option(
        "--by",
        metavar="NAME",
        default=current_user,
        show_default="your user name",
        help="Who decides; recorded in the history.",
    )(function)
    return click.option("--reason", metavar="TEXT", required=True, help="Why; recorded in the history.")(by)


def current_user() -> str:
    """The name of the user who runs the command, or a number if the host knows no name."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an arbitrary user id in a container; KeyError before Python 3.13
        return f"uid {os.getuid()}"


def about_us() -> dict[str, str]:
    """Details that help a person who wonders who holds a lock."""
    return {"host": host_name(), "user": current_user()}


def host_name() -> str:
    """The name of this host."""
    import socket

    return socket.gethostname() or "unknown"


def _remember_url(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Options).url = value

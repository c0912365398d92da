"""The registry's store: a SQLite file or a PostgreSQL, reached directly or through a web service started here."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from airflow_provider_partition_registry.store import maintenance
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from demo.console import short_path
from demo.options import Options
from testbed.service_process import ServiceProcess


@dataclass(frozen=True)
class Home:
    """An open registry, and how others reach it.

    :param store: the registry, for the demo itself
    :param address: the fields of an Airflow connection to it
    :param place: where it is, in words, without its password
    :param takes_tokens: whether an Airflow needs an access token for it
    :param is_shared: whether it may contain the names of other runs
    """

    store: RegistryStore
    address: Mapping[str, str]
    place: str
    takes_tokens: bool
    is_shared: bool


@contextlib.contextmanager
def running_home(options: Options, folder: Path) -> Iterator[Home]:
    """Open the registry, and start the web service in front of it if one is asked for.

    :param folder: for the files of this run
    """
    given = options.database_url if options.is_served else options.registry_url
    database_url = given or f"sqlite:///{folder / 'registry.db'}"
    maintenance.upgrade(database_url)
    if options.is_served:
        reached = _through_a_service(database_url, options.service_port, folder / "service.log", bool(given))
    else:
        reached = _directly(database_url, bool(given))
    with reached as home:
        yield home


@contextlib.contextmanager
def _directly(database_url: str, is_shared: bool) -> Iterator[Home]:
    with open_store(database_url) as store:
        place = _told(database_url)
        yield Home(store, _address(database_url), place, takes_tokens=False, is_shared=is_shared)


@contextlib.contextmanager
def _through_a_service(database_url: str, port: int | None, log: Path, is_shared: bool) -> Iterator[Home]:
    """As strict as in a company: an administrator registers sources, and reading requires a token as well."""
    administrator_token = secrets.token_urlsafe(32)
    variables = {
        "PARTITION_REGISTRY_ADMINISTRATOR_TOKEN": administrator_token,
        "PARTITION_REGISTRY_PRIVATE_READS": "true",
    }
    with (
        ServiceProcess(database_url, variables=variables, port=port, log=log) as service,
        open_store(service.url, access_token=administrator_token) as store,
    ):
        address = {"conn_type": "partition_registry", "host": service.url}
        place = f"a web service at {service.url}, in front of {_told(database_url)}"
        yield Home(store, address, place, takes_tokens=True, is_shared=is_shared)


def _address(database_url: str) -> dict[str, str]:
    """The fields of an Airflow connection; the password has a field of its own, which Airflow masks in logs."""
    parts = urlsplit(database_url)
    fields = {"conn_type": "partition_registry", "host": database_url}
    if parts.username is not None:
        fields["host"] = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        fields["login"] = unquote(parts.username)
        if parts.password is not None:
            fields["password"] = unquote(parts.password)
    return fields


def _told(database_url: str) -> str:
    """A database's URL without its password; a file relative to the current folder."""
    prefix, parts = "sqlite:///", urlsplit(database_url)
    if database_url.startswith(prefix):
        return f"SQLite, {short_path(Path(database_url.removeprefix(prefix)))}"
    if parts.password is None:
        return database_url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@", 1)))

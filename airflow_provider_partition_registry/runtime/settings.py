"""The settings in an Airflow connection of type ``partition_registry``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlencode, urlsplit, urlunsplit

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    RegistryError,
    StoreRefusedError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.domain.names import check_name
from airflow_provider_partition_registry.store.factory import DEFAULT_TIMEOUT, open_store

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_partition_registry.store.contract import RegistryStore

E = TypeVar("E", bound=RegistryError)

CONN_TYPE = "partition_registry"
DEFAULT_CONN_ID = "partition_registry_default"
SERVICE_SCHEMES = ("http://", "https://")

HOW_TO_CONFIGURE = """\
Create it in the Airflow UI (Admin > Connections, type "Partition Registry"), or set an environment variable for \
every Airflow process:
  {variable}='{{"conn_type": "partition_registry", "host": "db.example.com", "schema": "registry", \
"login": "user", "password": "password", "extra": {{"instance": "my-airflow"}}}}'
A web service: "host": "https://registry.example.com" and "password": "prs_...", a provider's access token, in place \
of host, schema, login and password, and that "provider" in "extra". A registry on one host only: "host": \
"sqlite:////var/lib/airflow/registry.db" alone."""


@dataclass(frozen=True)
class ConnectionSettings:
    """Where the registry is, and how this Airflow appears in it.

    :param url: as :func:`~airflow_provider_partition_registry.store.factory.open_store` takes it.
    :param provider: the provider that tasks act as unless they name another one.
    :param instance: tells this Airflow's lock holders from those of others.
    :param timeout: seconds after which a call gives up.
    :param access_token: by which a web service knows this Airflow; databases need none.
    :param verify: whether to check a web service's certificate, or the path of a file with the authorities to trust.
    """

    url: str = field(repr=False)
    provider: str | None = None
    instance: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    access_token: str | None = field(default=None, repr=False)
    verify: bool | str = True

    @classmethod
    def of_connection(cls, connection: Connection) -> ConnectionSettings:
        """Read a connection.

        Its host is either a URL (``https://...``, ``postgresql://...``, ``sqlite:////...``), whose missing parts are
        filled from the other fields, or the name of a PostgreSQL host.

        :raises InvalidInputError: it does not say where the registry is. The caller adds the connection's name, as a
            connection that is being tested has a random one.
        """
        if connection.conn_type and connection.conn_type != CONN_TYPE:
            raise InvalidInputError(
                f"Its type is {connection.conn_type!r}, and that of a registry is {CONN_TYPE!r}. Name another "
                f"connection, or correct the type."
            )
        extra = _extra(connection)
        url = _url(connection, extra)
        return cls(
            url=url,
            access_token=_access_token(connection) if url.startswith(SERVICE_SCHEMES) else None,
            verify=_verify(extra),
            provider=_name(extra, "provider"),
            instance=_name(extra, "instance"),
            timeout=_timeout(extra),
        )

    @property
    def is_on_one_host(self) -> bool:
        """Whether only processes of one host can share the registry."""
        return self.url.startswith("sqlite:")

    @property
    def is_service(self) -> bool:
        """Whether the registry is behind a web service, rather than in a database."""
        return self.url.startswith(SERVICE_SCHEMES)

    @property
    def secrets(self) -> list[str]:
        """What must not appear in a log: the access token, or the password as it is and as it is written in the URL."""
        password = urlsplit(self.url).password or ""
        found = (self.access_token, unquote(password), password)
        return list(dict.fromkeys(secret for secret in found if secret))

    def open(self, *, pool_size: int = 1) -> RegistryStore:
        """Open the registry."""
        return open_store(
            self.url,
            pool_size=pool_size,
            timeout=self.timeout,
            access_token=self.access_token,
            verify=self.verify,
        )


def of_connection(error: E, conn_id: str) -> E:
    """The error of a registry, with the Airflow connection that leads there added to its message."""
    return error.continued(f"The Airflow connection {conn_id!r} leads there.")


@contextmanager
def naming_connection(conn_id: str) -> Iterator[None]:
    """Add the Airflow connection that leads to a registry to the errors with which that does not answer."""
    try:
        yield
    except (StoreRefusedError, StoreUnavailableError) as error:
        raise of_connection(error, conn_id) from None


def how_to_configure(conn_id: str) -> str:
    """How to create the connection, for the message that it is missing."""
    return HOW_TO_CONFIGURE.format(variable=f"AIRFLOW_CONN_{conn_id.upper()}")


def _extra(connection: Connection) -> dict[str, Any]:
    """The fields of the connection's extra that are filled in; a saved form writes empty fields as null."""
    from airflow_provider_partition_registry.get_provider_info import CONN_FIELDS

    try:
        # Not extra_dejson, which treats an extra that cannot be read as an empty one, for example without its TLS mode.
        given = json.loads(connection.extra or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise InvalidInputError(
            'The connection\'s extra is not a JSON object; it should look like {"instance": "my-airflow"}.'
        )
    extra = {key: value for key, value in given.items() if value not in (None, "")}
    if unknown := extra.keys() - CONN_FIELDS.keys():
        raise InvalidInputError(
            f"The connection's extra has {', '.join(sorted(unknown))}, which is not supported; supported are "
            f"{', '.join(CONN_FIELDS)}."
        )
    return extra


def _name(extra: Mapping[str, Any], field_name: str) -> str | None:
    """The name in a field of the extra, if there is one."""
    return check_name(f"connection's {field_name}", extra[field_name]) if field_name in extra else None


def _url(connection: Connection, extra: Mapping[str, Any]) -> str:
    host = (connection.host or "").strip()
    if not host:
        raise InvalidInputError(
            "The registry's host is empty. Fill in the URL of its web service (https://registry.example.com), the name "
            "of a PostgreSQL host, or a URL such as postgresql://db.example.com:5432/registry or "
            "sqlite:////var/lib/airflow/registry.db. (A connection that is written as a URI begins with "
            "partition-registry://, with a hyphen.)"
        )
    if host.startswith("sqlite:"):
        return _sqlite_url(host)
    if host.lower().startswith(SERVICE_SCHEMES):
        return _service_url(host, connection.port)
    given = _split(host if "://" in host else f"postgresql://{host}")
    path = given.path if given.path.strip("/") else f"/{connection.schema or ''}"
    is_missing = "sslmode" in extra and "sslmode=" not in given.query
    sslmode = urlencode({"sslmode": extra["sslmode"]}) if is_missing else ""
    query = "&".join(part for part in (given.query, sslmode) if part)
    return urlunsplit((given.scheme, _authority(connection, given), path, query, ""))


def _sqlite_url(url: str) -> str:
    if not url.startswith(("sqlite:////", "sqlite:///~/")):
        raise InvalidInputError(
            "A SQLite registry needs an absolute path, with four slashes: sqlite:////var/lib/airflow/registry.db. "
            "Airflow's processes do not all start in the same folder."
        )
    return url


def _service_url(url: str, port: int | None) -> str:
    given = _split(url)
    if given.username or given.password:
        raise InvalidInputError(
            "The access token of a registry's web service belongs in the connection's password, not in its URL."
        )
    return urlunsplit(
        (given.scheme, _with_port(given.netloc, port), given.path.rstrip("/"), given.query, given.fragment)
    )


def _access_token(connection: Connection) -> str | None:
    """The token without white space around it, which copying may have added."""
    return (connection.password or "").strip() or None


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise InvalidInputError(
            f"The registry's host or URL cannot be parsed ({error}); a URL looks like "
            f"postgresql://db.example.com:5432/registry."
        ) from None


def _authority(connection: Connection, given: SplitResult) -> str:
    """``user:password@host:port``, with what the URL lacks taken from the connection's fields."""
    if given.password is not None or "password" in parse_qs(given.query):
        raise InvalidInputError(
            "The password is in the connection's host, which Airflow shows to everybody. Move it to the "
            "connection's password."
        )
    credentials, _, address = given.netloc.rpartition("@")
    if not given.username and connection.login:
        credentials = quote(connection.login, safe="")
    if credentials and connection.password:
        credentials += f":{quote(connection.password, safe='')}"
    address = _with_port(address, connection.port)
    return f"{credentials}@{address}" if credentials else address


def _with_port(address: str, port: int | None) -> str:
    """The address with the port, unless it has one."""
    # Port 0 is what Airflow's connection test sends for an empty field.
    return address if not port or ":" in address.rpartition("]")[2] else f"{address}:{port}"


def _verify(extra: Mapping[str, Any]) -> bool | str:
    """Whether to check certificates, or the file with the authorities to trust; forms can hold only text."""
    value = extra.get("verify", True)
    return {"true": True, "false": False}.get(str(value).strip().lower(), str(value))


def _timeout(extra: Mapping[str, Any]) -> float:
    value = extra.get("timeout", DEFAULT_TIMEOUT)
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise InvalidInputError(f"The timeout must be a number of seconds up to 3600, not {value!r}.")
    return seconds

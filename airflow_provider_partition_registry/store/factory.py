"""Open a registry by its URL. Only the implementation that the URL calls for is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_partition_registry.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from airflow_provider_partition_registry.store.contract import RegistryDatabase, RegistryStore

DEFAULT_TIMEOUT = 10.0
HTTP_SCHEMES = ("http", "https")
SQL_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2", "sqlite")


def is_database(url: str) -> bool:
    """Whether a URL names a database, rather than a web service or nothing that this version knows."""
    return _scheme_of(url) in SQL_SCHEMES


def open_store(
    url: str,
    *,
    pool_size: int = 1,
    writing_pool_size: int | None = None,
    standby_url: str | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    access_token: str | None = None,
    verify: bool | str = True,
) -> RegistryStore:
    """Open the registry at ``url``. It connects only when the first call needs it.

    :param url: ``postgresql://user:password@host:port/database`` (further libpq parameters after ``?``), or
        ``sqlite:///relative/path`` or ``sqlite:////absolute/path`` (a SQLite registry serves one host), or
        ``http://host:5498`` or ``https://host`` of a web service.
    :param pool_size: how many connections it may keep; 1 is right for a task, a few for a service.
    :param writing_pool_size: how many connections to a database writers get of their own (a bulkhead), so that writers
        waiting for each other do not hold up readers. By default readers and writers share one pool.
    :param standby_url: of a standby of a PostgreSQL database, which then answers those who accept older answers
        (:meth:`~..contract.RegistryReader.with_max_age`). A web service knows its standby by itself.
    :param timeout: seconds after which a call gives up. With SQLite this limits only the wait for other writers; a
        running statement is not interrupted.
    :param access_token: of a provider or source, by which a web service knows its callers. Databases need none.
    :param verify: whether to check a web service's certificate, or the path of a file with the authorities to trust.
    :raises InvalidInputError: the URL names no kind of store that this version knows, or a number is out of range.
    """
    _check(pool_size, timeout, writing_pool_size)
    scheme = _scheme_of(url) if isinstance(url, str) else ""
    if scheme in SQL_SCHEMES:
        return open_database(
            url,
            pool_size=pool_size,
            writing_pool_size=writing_pool_size,
            standby_url=standby_url,
            timeout=timeout,
        )
    if standby_url is not None:
        check_standby(url, standby_url)
    if scheme in HTTP_SCHEMES:
        from airflow_provider_partition_registry.store.http.store import open_http_store

        return open_http_store(
            url, access_token=access_token, pool_size=pool_size, timeout=timeout, verify=verify
        )
    raise InvalidInputError(
        f"A registry's URL starts with https://, postgresql:// or sqlite:///, not with {scheme or 'nothing'!r}."
    )


def open_database(
    url: str,
    *,
    pool_size: int = 1,
    writing_pool_size: int | None = None,
    standby_url: str | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    tell: Callable[[str], object] | None = None,
) -> RegistryDatabase:
    """Open the registry in a database, for calls that only a database can answer. Otherwise as :func:`open_store`.

    :param tell: is told who has answered what a standby may answer, ``standby`` or ``primary``.
    """
    _check(pool_size, timeout, writing_pool_size)
    if standby_url is not None:
        check_standby(url, standby_url)
    from airflow_provider_partition_registry.store.sql.store import open_sql_store

    return open_sql_store(
        url,
        pool_size=pool_size,
        timeout=timeout,
        writing_pool_size=writing_pool_size,
        standby_url=standby_url,
        tell=tell,
    )


def check_standby(url: str, standby_url: str) -> None:
    """Check that the registry in a database can have such a standby.

    :raises InvalidInputError: one of the two is not in PostgreSQL.
    """
    for each in (url, standby_url):
        if not isinstance(each, str) or not is_database(each) or _scheme_of(each) == "sqlite":
            raise InvalidInputError(
                "Only a registry in PostgreSQL has a standby, which is another PostgreSQL server: both URLs start "
                "with postgresql://."
            )


def _check(pool_size: int, timeout: float, writing_pool_size: int | None) -> None:
    if not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or not 0.1 <= timeout <= 3600:
        raise InvalidInputError(f"The timeout is a number of seconds from 0.1 to 3600, not {timeout!r}.")
    for size in (pool_size, pool_size if writing_pool_size is None else writing_pool_size):
        if not isinstance(size, int) or size < 1:
            raise InvalidInputError(f"A pool holds at least one connection, not {size!r}.")


def _scheme_of(url: str) -> str:
    return url.strip().partition(":")[0].lower()

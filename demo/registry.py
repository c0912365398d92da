"""The demo's registry: a SQLite file or the user's PostgreSQL, who writes to it, and how Airflow finds it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.store.base import RegistryStore
from airflow_provider_partition_registry.store.factory import DEFAULT_TIMEOUT, open_store

CONNECTION_VARIABLE = "AIRFLOW_CONN_PARTITION_REGISTRY_DEFAULT"
OWNER = "shop-team@example.com"
WARM_UP_DAY = Interval("2026-01-01", "2026-01-02")


@dataclass(frozen=True)
class Registry:
    """An open registry with the demo's sources and providers in it.

    :param place: where it is, without its password
    :param source: the source that the acts are about
    :param warm_up_source: one with a day that is ready from the beginning
    :param suffix: what tells this run's names in a shared registry from those of other runs
    :param clock_is_ahead: by how many seconds its clock and ours differ
    """

    store: RegistryStore
    url: str
    place: str
    source: str
    warm_up_source: str
    suffix: str
    clock_is_ahead: float

    def connection(self, side: str) -> dict[str, str]:
        """The environment variable with which an Airflow finds this registry, and says who it is."""
        extra = {"instance": side, "provider": provider_of(side, self.suffix)}
        return {
            CONNECTION_VARIABLE: json.dumps({**_address(self.url), "extra": extra}),
        }


def open_registry(url: str | None, folder: Path, sides: Sequence[str]) -> Registry:
    """Open the registry, and register sources and providers: one provider for each Airflow.

    :param url: of a PostgreSQL; None for a SQLite file in ``folder``
    :param sides: what the Airflow instances are called in the registry
    """
    # A shared registry has the names of other runs in it.
    suffix = f".{folder.name}" if url else ""
    source, warm_up_source = f"shop.orders{suffix}", f"shop.warm-up{suffix}"
    url = url or f"sqlite:///{folder / 'registry.db'}"
    _upgrade(url)
    store = open_store(url)
    for name in (source, warm_up_source):
        access_token = store.register_source(name, OWNER).access_token
        for side in sides:
            store.register_provider(provider_of(side, suffix), access_token)
    loader = provider_of(sides[0], suffix)
    store.register_partition(warm_up_source, loader, WARM_UP_DAY)
    before = datetime.datetime.now(datetime.UTC)
    store.unlock(warm_up_source, loader, WARM_UP_DAY)
    after = datetime.datetime.now(datetime.UTC)
    published_at = store.get_partition(warm_up_source, loader, WARM_UP_DAY).changed_at
    return Registry(
        store=store,
        url=url,
        place=without_password(url),
        source=source,
        warm_up_source=warm_up_source,
        suffix=suffix,
        clock_is_ahead=_distance(published_at, before, after),
    )


def provider_of(side: str, suffix: str) -> str:
    """Which provider the tasks of an Airflow write as."""
    return f"loader-on-{side}{suffix}"


def without_password(url: str) -> str:
    """A URL that may be shown."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@", 1)))


def _address(url: str) -> dict[str, str]:
    """The fields of an Airflow connection; the password in its own, which Airflow keeps out of the logs."""
    parts = urlsplit(url)
    fields = {"conn_type": "partition_registry", "host": url}
    if parts.username is not None:
        fields["host"] = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        fields["login"] = unquote(parts.username)
        if parts.password is not None:
            fields["password"] = unquote(parts.password)
    return fields


def _upgrade(url: str) -> None:
    """As ``partition-registry db upgrade`` does."""
    from airflow_provider_partition_registry.store.sql import schema
    from airflow_provider_partition_registry.store.sql.engine import Database

    database = Database(url, pool_size=1, timeout=DEFAULT_TIMEOUT)
    try:
        schema.upgrade(database)
    finally:
        database.close()


def _distance(instant: datetime.datetime, start: datetime.datetime, end: datetime.datetime) -> float:
    """Seconds by which the instant is after ``end``, or, negative, before ``start``."""
    return max((instant - end).total_seconds(), 0.0) or min((instant - start).total_seconds(), 0.0)

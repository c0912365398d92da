"""The time: the database's, so that hosts whose clocks differ agree on whether a lease is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from airflow_provider_partition_registry.store.sql.database.types import UtcInstant

TellTime = Callable[[datetime | None], datetime]
"""Takes the database's time, which may be None, and returns the time that counts."""


class DatabaseNow(FunctionElement):
    """The moment at which the database evaluates this; NULL on SQLite, where the one host's clock is used."""

    name = "database_now"
    type = UtcInstant()
    inherit_cache = True


@compiles(DatabaseNow, "postgresql")
def _on_postgresql(element: DatabaseNow, compiler: Any, **options: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"


@compiles(DatabaseNow, "sqlite")
def _on_sqlite(element: DatabaseNow, compiler: Any, **options: Any) -> str:
    return "CAST(NULL AS BIGINT)"

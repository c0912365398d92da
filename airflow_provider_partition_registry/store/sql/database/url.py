"""The URL of a database, checked and made to mean the same on all versions of SQLAlchemy."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import exc
from sqlalchemy.engine import URL, make_url

from airflow_provider_partition_registry.domain.errors import InvalidInputError


def normalise_url(url: str) -> URL:
    """Parse a database URL and name the driver, which SQLAlchemy's versions choose differently.

    :raises InvalidInputError: it cannot be parsed, or names a SQLite database without a file.
    """
    scheme, _, rest = url.strip().partition(":")
    scheme = "postgresql" if scheme.lower() == "postgres" else scheme.lower()
    try:
        if "\x00" in rest:
            raise ValueError
        parsed = make_url(f"{scheme}:{rest}")
    except (exc.ArgumentError, ValueError):
        raise InvalidInputError(
            "The registry's URL cannot be parsed; it looks like postgresql://user:password@host:5432/database, or "
            "sqlite:////path/registry.db."
        ) from None
    return _postgres_url(parsed) if parsed.get_backend_name() == "postgresql" else _sqlite_url(parsed)


def _postgres_url(parsed: URL) -> URL:
    if "@" in (parsed.host or ""):  # Part of a password: it must not be printed.
        raise InvalidInputError(
            "The password in the registry's URL must be percent-encoded: write %40 for @."
        )
    return parsed.set(drivername="postgresql+psycopg2")


def _sqlite_url(parsed: URL) -> URL:
    if not parsed.database or parsed.database == ":memory:" or parsed.host:
        raise InvalidInputError(
            "A SQLite registry needs a file: sqlite:///registry.db, or sqlite:////absolute/path/registry.db."
        )
    if parsed.query:
        raise InvalidInputError(f"The URL of a SQLite registry has no parameters: {', '.join(parsed.query)}.")
    file = Path(parsed.database).expanduser()
    if file.is_dir():
        raise InvalidInputError(
            f"{file} is a folder; a SQLite registry needs a file, such as {file}/registry.db."
        )
    if not file.resolve().parent.is_dir():
        raise InvalidInputError(
            f"There is no folder {file.resolve().parent} for the SQLite registry; create it first."
        )
    return parsed.set(drivername="sqlite+pysqlite", database=str(file))

"""Drivers' errors as the registry's own: the one place that decides which of them pass with time."""

from __future__ import annotations

import re

from sqlalchemy import exc

from airflow_provider_partition_registry.domain.errors import (
    HostNotFoundError,
    InvalidInputError,
    RegistryError,
    SchemaMissingError,
    StoreRefusedError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.store.resolving import is_wrong_host
from airflow_provider_partition_registry.store.sql.database.message import PREPARED_IS_LOST

# PostgreSQL: serialization failure, deadlock. The transaction was rolled back and is meant to be repeated.
_RETRYABLE = {"40001", "40P01"} | PREPARED_IS_LOST
_READ_ONLY = "25006"
_UNDEFINED_TABLE = "42P01"
_UNTRANSLATABLE_CHARACTER = "22P05"

# PostgreSQL reports the end of a transaction that was idle for too long as an internal error.
_PASSING = (exc.OperationalError, exc.InterfaceError, exc.InternalError)
# Drivers report these only in words.
_LASTING_WORDS = ("readonly database", "session is read-only")
_WRONG_SETTINGS = re.compile(
    r"(database|role) .* does not exist|authentication failed|no password supplied|no pg_hba.conf entry"
    r"|invalid \w+ value|invalid (integer|port)|does not support SSL|certificate|private key"
)
"""Reasons why a connection could not be made that do not pass with time."""

_NOT_FOUND = re.compile(r'could not translate host name "(.+?)" to address')


def is_worth_repeating(error: exc.DBAPIError) -> bool:
    """Whether the same work should be repeated at once."""
    return error.connection_invalidated or _code(error) in _RETRYABLE


def translate(error: exc.DBAPIError, database: str) -> RegistryError:
    """Turn a driver's error into one of the registry's.

    :param database: how the message names the database.
    """
    reason, code = reason_of(error), _code(error)
    if code == _UNDEFINED_TABLE or "no such table" in reason:
        return SchemaMissingError(database)
    if code == _UNTRANSLATABLE_CHARACTER:
        return InvalidInputError(
            "The registry's database cannot store these characters. Its operator creates it with the encoding UTF8."
        )
    if wrong_host := _wrong_host(reason):
        return HostNotFoundError(database, wrong_host)
    if code is None and isinstance(error, exc.OperationalError) and _WRONG_SETTINGS.search(reason):
        return StoreRefusedError(
            f"The registry in {database} cannot be reached as configured: {reason}. Check the host, database, user, "
            f"password and TLS settings. Waiting does not help."
        )
    if (
        isinstance(error, _PASSING)
        and code != _READ_ONLY
        and not any(each in reason for each in _LASTING_WORDS)
    ):
        return StoreUnavailableError(f"The registry in {database} does not respond: {reason.rstrip('.')}.")
    return StoreRefusedError(
        f"The registry in {database} refuses: {reason}. It must be a writable primary database that is sound, and "
        f"the account needs SELECT, INSERT, UPDATE and DELETE on its tables. Waiting does not help."
    )


def _wrong_host(reason: str) -> str | None:
    """The name of the database's host, if it is wrong; with several hosts all their names."""
    found = [_NOT_FOUND.match(each) for each in reason.split("; ")]
    names = [each[1] for each in found if each is not None and is_wrong_host(each[1])]
    return ", ".join(names) if len(names) == len(found) else None


def reason_of(error: BaseException) -> str:
    """The driver's message in one line, without the hints and pieces of our SQL that may follow."""
    driver_error = getattr(error, "orig", error)
    diagnostics = getattr(driver_error, "diag", None)
    told_by_server = getattr(diagnostics, "message_primary", None)
    # A failed connection gives one line per address that was tried; indented lines are guesses.
    lines = (
        [told_by_server] if told_by_server else re.findall(r"^\S.*", str(driver_error), flags=re.MULTILINE)
    )
    return "; ".join(" ".join(line.split()) for line in lines) or type(driver_error).__name__


def _code(error: exc.DBAPIError) -> str | None:
    return getattr(error.orig, "pgcode", None)

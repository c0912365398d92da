"""A copy of a SQLite registry as of one moment, made while it is in use.

SQLite's own online backup reads the file together with its write-ahead log, which holds the newest changes. Copying the
file alone loses them and yields an older registry that looks sound.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import literal_column, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    SchemaMissingError,
    StoreRefusedError,
)
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.schema.tables import VERSION_TABLE, history

IN_USE = ("-wal", "-shm", "-journal")
"""The files that SQLite keeps beside a database that is open, or was not closed properly."""


def back_up(database: Database, file: Path, *, overwrite: bool = False) -> None:
    """Copy the registry into a file, which appears only when the copy is complete, checked and on disk.

    The copy needs no other file beside it. It has the same schema as the registry, whatever its version.

    :param overwrite: replace an existing file.
    :raises InvalidInputError: the registry is not in SQLite, or the file exists, or must not be replaced.
    :raises SchemaMissingError: there is no registry.
    :raises StoreRefusedError: the copy cannot be written, or the registry's file is damaged.
    """
    source = database.file
    if source is None:
        raise InvalidInputError(
            f"db backup copies a registry in SQLite. PostgreSQL has tools of its own, for instance: pg_dump "
            f"--format=custom --table='partition_registry_*' --file=FILE --dbname={database.name}"
        )
    database.require_file()
    _check_target(source, file, overwrite)
    try:
        with _temporary_beside(file) as copy:
            database.read(lambda connection: _copy(connection, copy))
            _check_copy(copy, database.name)
            shutil.copymode(source, copy)
            _put_on_disk(copy)
            _appear(copy, file, overwrite)
            _put_on_disk(file.parent)
    except OSError as error:
        raise StoreRefusedError(
            f"The backup {file} cannot be written: {error.strerror or error}. Free the disk, check the folder and its "
            f"rights, or choose another place."
        ) from error


def _check_target(source: Path, file: Path, overwrite: bool) -> None:
    if file.exists() and file.samefile(source):
        raise InvalidInputError(f"{file} is the registry itself. Choose another file.")
    if file.is_dir():
        raise InvalidInputError(f"{file} is a folder. Name a file in it.")
    if file.exists() and not overwrite:
        raise _is_there(file)
    left = [name for name in (f"{file.name}{suffix}" for suffix in IN_USE) if file.with_name(name).exists()]
    if left:
        raise InvalidInputError(
            f"Beside {file} there is {' and '.join(left)}: a database that is in use, or was left in the middle of its "
            f"work. SQLite would mix it with the backup. Choose another file."
        )


def _is_there(file: Path) -> InvalidInputError:
    return InvalidInputError(f"{file} exists. Choose another file, or replace it with --overwrite.")


@contextmanager
def _temporary_beside(file: Path) -> Iterator[Path]:
    """An empty file in the same folder, so that it can be renamed; it is removed in the end, whatever happens."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".partial", dir=file.parent)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        for suffix in ("", *IN_USE):
            with suppress(FileNotFoundError):
                os.unlink(f"{name}{suffix}")


def _copy(connection: Connection, copy: Path) -> None:
    """Copy in one step, which sees one moment and, thanks to the write-ahead log, holds up no writer."""
    with _opened(copy) as target:
        connection.connection.dbapi_connection.backup(target)  # type: ignore[union-attr]
        # If a file says that it has a write-ahead log, nobody can tell whether that log was lost.
        target.execute("PRAGMA journal_mode = DELETE")
        _note_that_it_is_one(target)


def _note_that_it_is_one(copy: sqlite3.Connection) -> None:
    """Let the copy's history have no home, so that whoever writes to it notices that it was restored (R9)."""
    columns = copy.execute("SELECT name FROM pragma_table_info(?)", (history.name,)).fetchall()
    if ("home",) in columns:
        copy.execute(str(update(history).values(home=literal_column("''")).compile(dialect=sqlite.dialect())))
        copy.commit()


def _check_copy(copy: Path, name: str) -> None:
    with _opened(copy) as connection:
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise StoreRefusedError(
                f"The registry in {name} is damaged, and so would be its backup: {found}. Restore an earlier backup; "
                f"partition-registry db verify says more."
            )
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (VERSION_TABLE,)).fetchone():
            raise SchemaMissingError(name)


@contextmanager
def _opened(copy: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(copy)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StoreRefusedError(
            f"The backup cannot be written into {copy.parent}: {error}. Free the disk, or choose another place."
        ) from error


def _put_on_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _appear(copy: Path, file: Path, overwrite: bool) -> None:
    if overwrite:
        copy.replace(file)
        return
    try:
        # Unlike renaming, it never replaces a file that has appeared meanwhile.
        os.link(copy, file)
    except FileExistsError:
        raise _is_there(file) from None
    except OSError:  # a file system without links
        if file.exists():
            raise _is_there(file) from None
        copy.rename(file)

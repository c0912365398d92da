"""Drivers' messages, reduced to what helps."""

from __future__ import annotations

import sqlite3

import psycopg2
import pytest
from sqlalchemy import exc

from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.database.failures import reason_of

GUESS = "\tIs the server running on that host and accepting TCP/IP connections?"
DOWN = "connection to server at db-1 failed: Connection refused"
STARTING = "connection to server at db-2 failed: FATAL:  the database system is starting up"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"{DOWN}\n{GUESS}\n", DOWN),
        (f"{DOWN}\n{GUESS}\n{STARTING}\n", f"{DOWN}; {STARTING.replace('  ', ' ')}"),
        ("", "OperationalError"),
    ],
)
def test_without_guesses(said: str, told: str) -> None:
    driver_error = psycopg2.OperationalError(said)
    assert reason_of(driver_error) == told
    assert reason_of(exc.OperationalError("SELECT 1", {}, driver_error)) == told


def test_what_sqlite_says_is_one_line() -> None:
    assert reason_of(sqlite3.OperationalError("database is locked")) == "database is locked"


@pytest.mark.postgres
def test_what_a_server_says_comes_without_our_sql(postgres_url: str) -> None:
    database = Database(postgres_url, pool_size=1, timeout=30)
    with database.engine.connect() as connection, pytest.raises(exc.ProgrammingError) as caught:
        connection.exec_driver_sql("SELECT *\nFROM nothing")
    assert "LINE 2" in str(caught.value.orig)
    assert reason_of(caught.value) == 'relation "nothing" does not exist'
    database.close()

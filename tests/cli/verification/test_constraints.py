"""The database refuses what no call could write; if its constraints were bypassed, ``verify`` says so."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from airflow_provider_partition_registry.domain.errors import StoreRefusedError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import EventType, PartitionKey
from airflow_provider_partition_registry.store.sql.maintenance.verification import (
    DiscrepancyKind,
    repair,
    verify,
)
from airflow_provider_partition_registry.store.sql.schema.rules import (
    OTHER_EVENTS,
    PARTITION_EVENTS,
    TOKEN_EVENTS,
)
from airflow_provider_partition_registry.store.sql.schema.tables import (
    PREFIX,
    check_name,
    conditions_of,
    longest_of,
    metadata,
)
from airflow_provider_partition_registry.store.sql.statements.superseded import RELEASES, STATE_AFTER
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from tests.cli.verification.damage import START, hours, kinds, tamper
from tests.cli.verification.refused import REFUSED

STATE = f"ck_{PREFIX}partition_state"


def test_the_database_refuses_what_no_call_could_write(store: SqlRegistryStore):
    for what, (constraints, statement) in REFUSED.items():
        assert refused_by(store, statement) in constraints.split(), what
    assert verify(store.database) == []


def refused_by(store: SqlRegistryStore, statement: str) -> str:
    """The constraint that the database names, without the prefix that all have."""
    with pytest.raises(StoreRefusedError) as caught:
        tamper(store.database, statement)
    assert isinstance(caught.value.__cause__, IntegrityError)
    (name,) = re.findall(rf"ck_{PREFIX}(\w+)", caught.value.message)
    return str(name)


def test_every_constraint_is_shown_to_refuse_something():
    named = {name for constraints, _ in REFUSED.values() for name in constraints.split()}
    there = {
        check_name(table.name, name) for table in metadata.sorted_tables for name in conditions_of(table)
    }
    assert {f"ck_{PREFIX}{each}" for each in named} == there


def test_no_texts_where_numbers_belong(sqlite_store: SqlRegistryStore):
    """SQLite would store them without these constraints."""
    for constraint, statement in (
        ("partition_instants", "UPDATE {partition} SET published_at = 'yesterday' WHERE state = 'ready'"),
        ("partition_generation", "UPDATE {partition} SET generation = 'x' WHERE state = 'registered'"),
        ("partition_whole_lock", "UPDATE {partition} SET exclusive = 'maybe' WHERE state = 'locked'"),
        ("event_instants", "UPDATE {event} SET at = 'now' WHERE position = 4"),
        ("ready_interval_instants", "UPDATE {ready_interval} SET interval_end = 'x'"),
        ("history_last_position", "UPDATE {history} SET last_position = 'many'"),
    ):
        assert refused_by(sqlite_store, statement) == constraint


def test_every_event_about_a_partition_leaves_it_in_a_state():
    assert set(PARTITION_EVENTS) == {*STATE_AFTER, *RELEASES}


def test_every_type_of_event_may_be_written():
    assert sorted(PARTITION_EVENTS + TOKEN_EVENTS + OTHER_EVENTS) == sorted(EventType)


def test_the_class_that_the_store_gives_a_length_is_the_one_the_database_wants(store: SqlRegistryStore):
    """At both ends of every class."""
    lengths = {length for number in range(21) for length in (longest_of(number) - 1, longest_of(number))}
    ends = [START + timedelta(microseconds=length) for length in lengths if 0 < length < longest_of(19)]
    for end in ends:
        store.register_partition(PartitionKey("sales", "nightly", Interval(START, end)))
    assert verify(store.database) == []


class TestBypassed:
    def test_by_telling_sqlite_to_ignore_them(self, sqlite_store: SqlRegistryStore):
        ignore = "PRAGMA ignore_check_constraints = {}"
        database = sqlite_store.database
        database.read(lambda connection: connection.exec_driver_sql(ignore.format("ON")))
        tamper(
            database,
            "UPDATE {partition} SET state = 'banana', generation = -5 WHERE state = 'registered'",
            "INSERT INTO {history} (id, last_position) VALUES (2, 1)",
            "DELETE FROM {length_class}",
        )
        database.read(lambda connection: connection.exec_driver_sql(ignore.format("OFF")))
        (found,) = verify(database)
        assert (found.kind, found.count, found.is_repairable) == (DiscrepancyKind.CONSTRAINT_BROKEN, 2, False)
        assert found.examples == (
            f"{PREFIX}history id 2 breaks one_row",
            f"{PREFIX}partition id 7 breaks generation, state",
        )
        assert repair(database) == []

    @pytest.mark.postgres
    def test_by_adding_them_without_validating_the_rows(self, postgres_store: SqlRegistryStore):
        condition = conditions_of(metadata.tables[f"{PREFIX}partition"])["state"]
        tamper(
            postgres_store.database,
            f"ALTER TABLE {{partition}} DROP CONSTRAINT {STATE}",
            "UPDATE {partition} SET state = 'banana' WHERE state = 'registered'",
            f"ALTER TABLE {{partition}} ADD CONSTRAINT {STATE} CHECK ({condition}) NOT VALID",
        )
        not_in_force, broken = verify(postgres_store.database)
        assert (not_in_force.kind, not_in_force.examples) == ("constraint_not_in_force", (STATE,))
        assert (broken.kind, broken.examples) == (
            "constraint_broken",
            (f"{PREFIX}partition id 7 breaks state",),
        )
        tamper(
            postgres_store.database,
            "UPDATE {partition} SET state = 'registered' WHERE state = 'banana'",
            f"ALTER TABLE {{partition}} VALIDATE CONSTRAINT {STATE}",
        )
        assert verify(postgres_store.database) == []

    def test_a_constraint_that_is_gone_hides_nothing_else(self, store: SqlRegistryStore):
        if store.database.is_sqlite:
            store.database.read(lambda connection: connection.exec_driver_sql("PRAGMA writable_schema = ON"))
            tamper(store.database, f"UPDATE sqlite_master SET sql = replace(sql, '{STATE}', 'other')")
            store.database.close()
        else:
            tamper(store.database, f"ALTER TABLE {{partition}} DROP CONSTRAINT {STATE}")
        tamper(store.database, "DELETE FROM {ready_interval}")
        assert kinds(store.database) == {"constraint_not_in_force", "ready_interval_missing"}
        repair(store.database)
        assert kinds(store.database) == {"constraint_not_in_force"}
        store.lock(PartitionKey("sales", "nightly", hours(0, 10)))

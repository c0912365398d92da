"""``verify`` finds whatever is wrong and nothing else, and ``repair`` heals what it can."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, select

from airflow_provider_partition_registry.domain.intervals import Interval, difference, union
from airflow_provider_partition_registry.store.sql.engine import Database
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from airflow_provider_partition_registry.store.sql.tables import (
    length_class,
    length_class_of,
    longest_of,
    partition,
    provider,
    ready_interval,
    source,
)
from airflow_provider_partition_registry.store.sql.verification import DiscrepancyKind, repair, verify
from tests.cli.verification.damage import START, at, hours, kinds, tamper

REPAIRABLE = {
    "a ready interval gone": (
        {"ready_interval_missing"},
        "DELETE FROM {ready_interval}",
    ),
    "a ready interval too short": (
        {"ready_interval_missing"},
        f"UPDATE {{ready_interval}} SET interval_end = {at(5)} WHERE interval_start = {at(0)}",
    ),
    "a ready interval too long": (
        {"ready_interval_wrong"},
        f"UPDATE {{ready_interval}} SET interval_end = {at(15)} WHERE interval_start = {at(0)}",
    ),
    "a ready interval over a lock": (
        {"ready_interval_wrong"},
        f"UPDATE {{ready_interval}} SET interval_end = {at(31)} WHERE interval_start = {at(20)}",
    ),
    "a ready interval from nowhere": (
        {"ready_interval_wrong"},
        f"INSERT INTO {{ready_interval}} VALUES (1, {at(100)}, {at(101)})",
    ),
    "a ready interval moved": (
        {"ready_interval_missing", "ready_interval_wrong"},
        (
            f"UPDATE {{ready_interval}} SET interval_start = {at(1)}, interval_end = {at(11)} "
            f"WHERE interval_start = {at(0)}"
        ),
    ),
    "a ready interval in two that touch": (
        {"ready_interval_split"},
        f"UPDATE {{ready_interval}} SET interval_end = {at(25)} WHERE interval_start = {at(20)}",
        f"INSERT INTO {{ready_interval}} VALUES (1, {at(25)}, {at(30)})",
    ),
    "a ready interval inside another": (
        {"ready_interval_split"},
        f"INSERT INTO {{ready_interval}} VALUES (1, {at(21)}, {at(22)})",
    ),
    "a ready interval backwards": (
        {"ready_interval_malformed"},
        f"INSERT INTO {{ready_interval}} VALUES (1, {at(101)}, {at(100)})",
    ),
    "a ready interval beyond all calendars": (
        {"ready_interval_malformed"},
        f"INSERT INTO {{ready_interval}} VALUES (1, {at(101)}, {2**62})",
    ),
    "a class of lengths gone": (
        {"length_class_missing"},
        "DELETE FROM {length_class} WHERE length_class = 11",
    ),
    "a class of lengths too many": (
        {"length_class_wrong"},
        "INSERT INTO {length_class} VALUES (1, 3, 512)",
    ),
    "a class of lengths with a wrong length": (
        {"length_class_wrong"},
        "UPDATE {length_class} SET longest = longest - 1",
    ),
    "a partition in a wrong class": (
        {"partition_length_class"},
        "UPDATE {partition} SET length_class = 12 WHERE state = 'failed'",
    ),
    "a counter behind the history": (
        {"history_counter"},
        "UPDATE {history} SET last_position = 3",
    ),
    "no counter": (
        {"history_counter"},
        "DELETE FROM {history}",
    ),
    "two counters": (
        {"history_counter"},
        "INSERT INTO {history} VALUES (2, 1)",
    ),
}


@pytest.mark.parametrize("name", REPAIRABLE)
def test_it_finds_and_heals(store: SqlRegistryStore, name: str):
    expected, *statements = REPAIRABLE[name]
    database = store.database
    assert verify(database) == []
    before = everything_derived(database)
    tamper(database, *statements)
    found = verify(database)
    assert {each.kind.value for each in found} == expected
    assert all(each.is_repairable and each.count >= 1 and each.description.endswith(".") for each in found)
    assert repair(database) == found
    assert verify(database) == []
    assert everything_derived(database) == before


FOR_A_PERSON = {
    "a partition backwards": (
        {"partition_interval"},
        f"UPDATE {{partition}} SET interval_end = {at(59)} WHERE state = 'registered'",
    ),
    "a partition beyond all calendars": (
        {"partition_interval"},
        f"UPDATE {{partition}} SET interval_end = {2**62} WHERE state = 'registered'",
    ),
    "a state that is not stored": (
        {"partition_state"},
        "UPDATE {partition} SET state = 'expired' WHERE state = 'registered'",
    ),
    "published at no time": (
        {"partition_columns"},
        "UPDATE {partition} SET published_at = NULL WHERE state = 'ready'",
    ),
    "published though locked": (
        {"partition_columns"},
        "UPDATE {partition} SET published_at = 0 WHERE state = 'locked'",
    ),
    "locked by nobody": (
        {"partition_columns"},
        "UPDATE {partition} SET holder = NULL WHERE state = 'locked'",
    ),
    "failed without a reason": (
        {"partition_columns"},
        "UPDATE {partition} SET reason = NULL WHERE state = 'failed'",
    ),
    "a lock without a generation": (
        {"partition_columns"},
        "UPDATE {partition} SET generation = 0 WHERE state = 'locked'",
    ),
    "an event gone": (
        {"history_gap"},
        "DELETE FROM {event} WHERE position = 4",
    ),
    "the last event gone": (
        {"history_gap"},
        "DELETE FROM {event} WHERE position = (SELECT max(position) FROM {event})",
    ),
}


@pytest.mark.parametrize("name", FOR_A_PERSON)
def test_what_is_lost_stays_reported(store: SqlRegistryStore, name: str):
    expected, *statements = FOR_A_PERSON[name]
    tamper(store.database, *statements)
    found = verify(store.database)
    assert {each.kind.value for each in found} == expected
    assert not any(each.is_repairable for each in found)
    assert repair(store.database) == []
    assert verify(store.database) == found


def test_rows_that_refer_to_nothing(store: SqlRegistryStore):
    if store.database.is_sqlite:
        store.database.read(lambda connection: connection.exec_driver_sql("PRAGMA foreign_keys = OFF"))
    tamper(store.database, "DELETE FROM {provider}")
    (found, *others) = verify(store.database)
    assert {each.kind for each in (found, *others)} == {DiscrepancyKind.DANGLING_REFERENCE}
    assert "provider_id" in found.description
    assert repair(store.database) == []


def test_what_is_wrong_at_once_is_told_and_healed_at_once(store: SqlRegistryStore):
    token = store.register_source("stock", "x").access_token
    store.register_provider("hourly", token)
    store.lock("stock", "hourly", hours(0, 1), register=True)
    store.unlock("stock", "hourly", hours(0, 1))
    tamper(
        store.database, "DELETE FROM {ready_interval}", "DELETE FROM {length_class}", "DELETE FROM {history}"
    )
    found = verify(store.database)
    assert {(each.source_name, each.kind.value) for each in found} == {
        (None, "history_counter"),
        ("sales", "length_class_missing"),
        ("stock", "length_class_missing"),
        ("sales", "ready_interval_missing"),
        ("stock", "ready_interval_missing"),
    }
    repair(store.database)
    assert verify(store.database) == []
    store.lock("stock", "hourly", hours(0, 1))


def test_a_state_that_nobody_knows_goes_on_blocking(store: SqlRegistryStore):
    store.lock("sales", "nightly", hours(2, 3), register=True)
    tamper(
        store.database,
        f"UPDATE partition_registry_partition SET state = 'Locked' WHERE interval_start = {at(2)}",
    )
    repair(store.database)
    assert kinds(store.database) == {DiscrepancyKind.PARTITION_STATE}
    assert not store.check_readiness("sales", hours(0, 10))


def test_the_counter_is_never_lowered(store: SqlRegistryStore):
    """Who has seen the events that are gone would miss those that got their numbers again."""
    last = store.events().items[-1].position
    tamper(
        store.database,
        f"DELETE FROM {{event}} WHERE position = {last}",
        "INSERT INTO {history} VALUES (2, 1)",
    )
    repair(store.database)
    store.lock("sales", "nightly", hours(0, 10))
    assert store.events().items[-1].position == last + 1


def test_examples_are_few_however_much_is_wrong(store: SqlRegistryStore):
    for start in range(100, 120, 2):
        store.lock("sales", "nightly", hours(start, start + 1), register=True)
        store.unlock("sales", "nightly", hours(start, start + 1))
    tamper(store.database, f"DELETE FROM {{ready_interval}} WHERE interval_start >= {at(100)}")
    (found,) = verify(store.database)
    assert (found.count, len(found.examples)) == (10, 5)
    assert found.examples[0] == str(hours(100, 101))
    assert found.description == (
        "Source 'sales': ready by the partitions, but not kept as ready: "
        f"{', '.join(found.examples)} and 5 more."
    )


def test_it_agrees_with_the_algebra_of_intervals(store: SqlRegistryStore):
    """What a repair makes of random partitions, with nothing derived yet, is R1 said in other words."""
    expected = store.database.write(lambda connection: fill(connection, random.Random(7)))
    found = verify(store.database)
    assert {each.kind.value for each in found} == {"length_class_missing", "ready_interval_missing"}
    repair(store.database)
    assert verify(store.database) == []
    kept = {name: rows for name, rows in everything_derived(store.database)[0].items() if name != "sales"}
    assert kept == {name: rows for name, rows in expected.items() if rows}


def fill(connection, chance: random.Random) -> dict[str, list[tuple[datetime, datetime]]]:
    expected = {}
    (provider_id,) = connection.execute(select(provider.c.id)).scalars()
    for number in range(60):
        row = {"name": f"random-{number}", "owner": "x", "registered_at": START}
        source_id = connection.execute(insert(source).values(**row)).inserted_primary_key[0]
        chosen = {
            hours(start, start + chance.choice((1, 1, 2, 3, 8))): chance.choice(
                ("ready", "ready", "ready", "locked", "failed", "registered")
            )
            for start in chance.choices(range(40), k=chance.randint(0, 25))
        }
        for interval, state in chosen.items():
            connection.execute(insert(partition).values(**columns(source_id, provider_id, interval, state)))
        ready = union(each for each, state in chosen.items() if state == "ready")
        blocked = [each for each, state in chosen.items() if state in ("locked", "failed")]
        expected[row["name"]] = [(each.start, each.end) for each in difference(ready, blocked)]
    return expected


def columns(source_id: int, provider_id: int, interval: Interval, state: str) -> dict:
    return {
        "source_id": source_id,
        "provider_id": provider_id,
        "interval_start": interval.start,
        "interval_end": interval.end,
        "length_class": length_class_of(interval),
        "state": state,
        "generation": 1,
        "registered_at": START,
        "changed_at": START,
        "published_at": START if state == "ready" else None,
        "reason": "x" if state == "failed" else None,
        "holder": "x",
        "locked_at": START,
        "exclusive": False,
    }


def everything_derived(database: Database) -> tuple:
    def read(connection):
        rows = connection.execute(
            select(source.c.name, ready_interval.c.interval_start, ready_interval.c.interval_end)
            .join_from(ready_interval, source)
            .order_by(source.c.name, ready_interval.c.interval_start)
        ).all()
        kept: dict[str, list[tuple[datetime, datetime]]] = {}
        for row in rows:
            kept.setdefault(row.name, []).append((row.interval_start, row.interval_end))
        return kept

    classes = database.read(
        lambda connection: connection.execute(select(length_class).order_by(*length_class.c)).all()
    )
    of_partitions = database.read(
        lambda connection: connection.execute(
            select(partition.c.id, partition.c.length_class).order_by(partition.c.id)
        ).all()
    )
    return database.read(read), [tuple(row) for row in classes], [tuple(row) for row in of_partitions]


def test_sql_computes_the_classes_of_lengths_that_the_store_gives(store: SqlRegistryStore):
    """At both ends of every class."""
    lengths = {length for number in range(21) for length in (longest_of(number) - 1, longest_of(number))}
    ends = [START + timedelta(microseconds=length) for length in lengths if 0 < length < longest_of(19)]
    for end in ends:
        store.register_partition("sales", "nightly", Interval(START, end))
    assert verify(store.database) == []

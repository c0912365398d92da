"""``verify`` finds whatever is wrong and nothing else, and ``repair`` repairs what it can."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, inspect, select, update

from airflow_provider_partition_registry.domain.errors import SchemaDamagedError
from airflow_provider_partition_registry.domain.intervals import Interval, difference, union
from airflow_provider_partition_registry.domain.models import EventType, PartitionKey, PartitionState
from airflow_provider_partition_registry.domain.principals import Principal, PrincipalKind
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.maintenance.verification import (
    DiscrepancyKind,
    repair,
    verify,
)
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.schema.tables import (
    DERIVED_TABLES,
    PREFIX,
    event,
    length_class,
    length_class_of,
    partition,
    provider,
    ready_interval,
    source,
)
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from tests.cli.verification.cases import FOR_A_PERSON, REPAIRABLE
from tests.cli.verification.damage import START, at, hours, kinds, tamper
from tests.contract.homes import ManualClock

OVERLAP = f"ix_{PREFIX}partition_overlap"


@pytest.mark.parametrize(("expected", "statements"), REPAIRABLE.values(), ids=REPAIRABLE)
def test_it_finds_and_heals(store: SqlRegistryStore, expected: set[str], statements: list[str]):
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


@pytest.mark.parametrize(("expected", "statements"), FOR_A_PERSON.values(), ids=FOR_A_PERSON)
def test_what_is_lost_stays_reported(store: SqlRegistryStore, expected: set[str], statements: list[str]):
    tamper(store.database, *statements)
    found = verify(store.database)
    assert {each.kind.value for each in found} == expected
    assert not any(each.is_repairable for each in found)
    assert repair(store.database) == []
    assert verify(store.database) == found


@pytest.mark.postgres
def test_an_index_that_was_left_half_built_is_built_anew(postgres_store: SqlRegistryStore):
    database = postgres_store.database
    tamper(database, f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass('{OVERLAP}')")
    (found,) = verify(database)
    assert (found.kind, found.examples) == (DiscrepancyKind.INDEX_MISSING, (OVERLAP,))
    assert repair(database) == [found]
    assert verify(database) == []


def test_a_newer_schema_may_have_other_indexes(store: SqlRegistryStore):
    tamper(store.database, f"DROP INDEX {OVERLAP}")
    assert kinds(store.database) == {"index_missing"}
    tamper(store.database, f"UPDATE {{version}} SET version_num = '9999_since_{revisions.HEAD[:4]}'")
    assert verify(store.database) == []


@pytest.mark.parametrize(
    "dropped",
    [["ready_interval"], ["length_class"], ["history"], ["ready_interval", "length_class", "history"]],
)
def test_dropped_tables_that_follow_from_others_are_made_anew(store: SqlRegistryStore, dropped: list[str]):
    before = everything_derived(store.database), definitions(store.database)
    tamper(store.database, *[f"DROP TABLE {{{each}}}" for each in dropped])
    with pytest.raises(SchemaDamagedError, match="--repair"):
        verify(store.database)
    (repaired,) = repair(store.database)
    assert (repaired.kind, repaired.count) == (DiscrepancyKind.TABLE_MISSING, len(dropped))
    assert verify(store.database) == []
    assert (everything_derived(store.database), definitions(store.database)) == before
    assert store.lock(PartitionKey("sales", "nightly", hours(0, 10))).generation == 2


@pytest.mark.postgres
def test_a_dropped_sequence_is_made_anew_and_goes_on(postgres_store: SqlRegistryStore):
    last = postgres_store.last_position()
    tamper(postgres_store.database, "DROP SEQUENCE partition_registry_event_position")
    with pytest.raises(SchemaDamagedError, match="--repair"):
        postgres_store.lock(PartitionKey("sales", "nightly", hours(0, 10)))
    (repaired,) = repair(postgres_store.database)
    assert (repaired.kind, repaired.examples) == ("table_missing", ("partition_registry_event_position",))
    postgres_store.lock(PartitionKey("sales", "nightly", hours(0, 10)))
    assert postgres_store.last_position() == last + 1
    assert verify(postgres_store.database) == []


@pytest.mark.postgres
def test_a_sequence_that_lags_behind_is_set(postgres_store: SqlRegistryStore):
    last = postgres_store.last_position()
    tamper(
        postgres_store.database, "DO $$ BEGIN PERFORM setval('partition_registry_event_position', 3); END $$"
    )
    assert kinds(postgres_store.database) == {"history_counter"}
    repair(postgres_store.database)
    postgres_store.lock(PartitionKey("sales", "nightly", hours(0, 10)))
    assert postgres_store.last_position() == last + 1


def definitions(database: Database) -> str:
    with database.engine.connect() as connection:
        found = inspect(connection)
        return str(
            [
                (found.get_columns(each), found.get_pk_constraint(each), found.get_foreign_keys(each))
                for each in (table.name for table in DERIVED_TABLES)
            ]
        )


def test_other_dropped_tables_are_not_made_anew(store: SqlRegistryStore):
    tamper(store.database, "DROP TABLE {ready_interval}", "DROP TABLE {event}")
    with pytest.raises(SchemaDamagedError, match="from a backup"):
        repair(store.database)


def test_rows_that_refer_to_nothing(store: SqlRegistryStore):
    if store.database.is_sqlite:
        store.database.read(lambda connection: connection.exec_driver_sql("PRAGMA foreign_keys = OFF"))
    tamper(store.database, "DELETE FROM {provider}")
    (found, *others) = verify(store.database)
    assert {each.kind for each in (found, *others)} == {DiscrepancyKind.DANGLING_REFERENCE}
    assert "provider_id" in found.description
    assert repair(store.database) == []


def test_details_of_which_one_is_no_text(store: SqlRegistryStore):
    is_locked = partition.c.holder.is_not(None)
    for statement in (
        update(partition).where(is_locked).values(holder_details={"try": 1}),
        update(event).values(details={"try": 1}),
    ):
        store.database.write(lambda connection, statement=statement: connection.execute(statement))
    found = {each.kind: each.count for each in verify(store.database)}
    assert found == {DiscrepancyKind.PARTITION_DETAILS: 6, DiscrepancyKind.EVENT_MALFORMED: 20}


def test_the_words_of_a_lasting_difference(store: SqlRegistryStore):
    tamper(store.database, "UPDATE {partition} SET generation = 5 WHERE state = 'locked'")
    (found,) = verify(store.database)
    assert found.description == (
        "Source 'sales': partitions whose state or generation is not that of their last event in the history: "
        "partition id 5."
    )


def test_every_kind_of_event_leads_where_it_left_its_partition(database: Database):
    clock = ManualClock()
    store = SqlRegistryStore(database, clock)
    store.register_provider("nightly", store.register_source("sales", "data-team").access_token)
    place = PartitionKey("sales", "nightly", hours(0, 1))
    decision: dict[str, Any] = {"reason": "wrong", "by": "ann"}
    around, new = replace(place, interval=hours(0, 2)), replace(place, interval=hours(2, 3))
    of_provider = Principal(PrincipalKind.PROVIDER, "nightly")
    steps = {
        "register": lambda: store.register_partition(place),
        "publish unlocked": lambda: store.unlock(place),
        "invalidate": lambda: store.invalidate(place, **decision),
        "withdraw": lambda: store.withdraw(place, **decision),
        "lock": lambda: store.lock(place, lease=timedelta(hours=1)),
        "renew": lambda: store.renew(place, generation=1, lease=timedelta(hours=2)),
        "lease over": lambda: clock.advance(timedelta(hours=3)),
        "renew when over": lambda: store.renew(place, generation=1, lease=timedelta(hours=2)),
        "fail": lambda: store.fail(place, reason="disk full"),
        "lock again": lambda: store.lock(place),
        "force": lambda: store.force_release(place, **decision),
        "lock a third time": lambda: store.lock(place),
        "force to ready": lambda: store.force_release(place, **decision, to=PartitionState.READY),
        "lock for an hour": lambda: store.lock(place, holder="first", lease=timedelta(hours=1)),
        "lease over again": lambda: clock.advance(timedelta(hours=2)),
        "take over around it": lambda: store.lock(around, holder="second", register=True),
        "unlock": lambda: store.unlock(around, holder="second"),
        "lock what is ready": lambda: store.lock(around),
        "release to ready": lambda: store.release(around),
        "lock what failed": lambda: store.lock(place),
        "release to failed": lambda: store.release(place),
        "lock what is new": lambda: store.lock(new, register=True),
        "release to registered": lambda: store.release(new),
        "rotate": lambda: store.rotate_token(of_provider),
        "revoke token": lambda: store.revoke_token(store.list_tokens(of_provider).items[-1].id, **decision),
        "revoke grant": lambda: store.revoke_grant("sales", "nightly", **decision),
    }
    for name, step in steps.items():
        step()
        assert verify(database) == [], name
    assert {each.type for each in store.events().items} == set(EventType) - {EventType.GRANTED}


def test_a_release_by_force_leads_where_it_says(store: SqlRegistryStore):
    store.force_release(
        PartitionKey("sales", "nightly", hours(30, 31)), reason="gone", by="ann", to=PartitionState.READY
    )
    assert verify(store.database) == []
    tamper(store.database, "UPDATE {event} SET details = '[]' WHERE type = 'FORCE_RELEASE'")
    assert kinds(store.database) == {DiscrepancyKind.EVENT_MALFORMED, DiscrepancyKind.PARTITION_HISTORY}


def test_a_new_change_settles_what_the_history_does_not_lead_to(store: SqlRegistryStore):
    tamper(store.database, "UPDATE {partition} SET generation = 5 WHERE state = 'locked'")
    store.withdraw(PartitionKey("sales", "nightly", hours(30, 31)), reason="tampered with", by="ann")
    assert verify(store.database) == []


def test_details_that_are_no_json(sqlite_store: SqlRegistryStore):
    """SQLite accepts any text for them."""
    tamper(
        sqlite_store.database,
        "UPDATE {partition} SET holder_details = 'nobody' WHERE state = 'ready'",
        "UPDATE {event} SET details = 'none', type = 'FORCE_RELEASE' WHERE type = 'FAIL'",
    )
    assert kinds(sqlite_store.database) == {"partition_details", "partition_history", "event_malformed"}


def test_what_is_wrong_at_once_is_told_and_healed_at_once(store: SqlRegistryStore):
    token = store.register_source("stock", "x").access_token
    store.register_provider("hourly", token)
    store.lock(PartitionKey("stock", "hourly", hours(0, 1)), register=True)
    store.unlock(PartitionKey("stock", "hourly", hours(0, 1)))
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
    store.lock(PartitionKey("stock", "hourly", hours(0, 1)))


def test_the_counter_is_never_lowered(store: SqlRegistryStore):
    """A reader that has seen the lost events would miss new ones with the same positions."""
    last = store.events().items[-1].position
    tamper(store.database, f"DELETE FROM {{event}} WHERE position = {last}")
    repair(store.database)
    store.lock(PartitionKey("sales", "nightly", hours(0, 10)))
    assert store.events().items[-1].position == last + 1


@pytest.mark.parametrize(
    ("gone", "numbers"),
    [("position = 1", [1]), ("position > 18", [19, 20]), ("position IN (1, 3, 5)", [1, 3, 5])],
)
def test_lost_events_are_found(store: SqlRegistryStore, gone: str, numbers: list[int]):
    """In PostgreSQL positions have holes anyway, so they are counted there."""
    tamper(store.database, f"DELETE FROM {{event}} WHERE {gone}")
    (lost,) = [each for each in verify(store.database) if each.kind is DiscrepancyKind.HISTORY_GAP]
    assert lost.count == len(numbers)
    is_numbered = store.database.is_sqlite
    assert lost.source_name == (None if is_numbered else "sales")
    assert lost.examples == (tuple(f"event number {each}" for each in numbers) if is_numbered else ())


def test_a_lost_event_of_a_provider_alone_is_found(store: SqlRegistryStore):
    store.rotate_token(Principal(PrincipalKind.PROVIDER, "nightly"))
    tamper(store.database, "DELETE FROM {event} WHERE type = 'TOKEN_ROTATED'")
    (lost,) = verify(store.database)
    assert (lost.kind, lost.count, lost.source_name) == (DiscrepancyKind.HISTORY_GAP, 1, None)


def test_losing_the_whole_history_is_found(store: SqlRegistryStore):
    tamper(store.database, "DELETE FROM {event}")
    (lost,) = [each for each in verify(store.database) if each.kind is DiscrepancyKind.HISTORY_GAP]
    assert (lost.count, len(lost.examples)) == (20, 5 if store.database.is_sqlite else 0)
    store.lock(PartitionKey("sales", "nightly", hours(0, 10)))
    assert [each.position for each in store.events().items] == [21]


def test_examples_are_few_however_much_is_wrong(store: SqlRegistryStore):
    for start in range(100, 120, 2):
        store.lock(PartitionKey("sales", "nightly", hours(start, start + 1)), register=True)
        store.unlock(PartitionKey("sales", "nightly", hours(start, start + 1)))
    tamper(store.database, f"DELETE FROM {{ready_interval}} WHERE interval_start >= {at(100)}")
    (found,) = verify(store.database)
    assert (found.count, len(found.examples)) == (10, 5)
    assert found.examples[0] == str(hours(100, 101))
    assert found.description == (
        "Source 'sales': ready by the partitions, but not kept as ready: "
        f"{', '.join(found.examples)} and 5 more."
    )


def test_it_agrees_with_the_algebra_of_intervals(store: SqlRegistryStore):
    """A repair of random partitions without derived rows must give R1 as the interval algebra computes it."""
    expected = store.database.write(lambda connection: fill(connection, random.Random(7)))
    no_events = {"partition_history"}
    assert kinds(store.database) == {"length_class_missing", "ready_interval_missing"} | no_events
    repair(store.database)
    assert kinds(store.database) == no_events
    kept = {name: rows for name, rows in everything_derived(store.database)[0].items() if name != "sales"}
    assert kept == {name: rows for name, rows in expected.items() if rows}


def fill(connection, chance: random.Random) -> dict[str, list[tuple[datetime, datetime]]]:
    expected: dict[Any, Any] = {}
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
        "exclusive": False,
        **({"holder": "x", "holder_details": {}, "locked_at": START} if state == "locked" else {}),
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


def test_a_file_that_was_copied_while_somebody_wrote(sqlite_store: SqlRegistryStore, tmp_path: Path):
    """Half of the copy is from before the log was written back, half from after that."""
    contents = []
    for first in (100, 200):
        for hour in range(first, first + 80):
            sqlite_store.register_partition(PartitionKey("sales", "nightly", hours(hour, hour + 1)))
        sqlite_store.database.read(lambda connection: connection.exec_driver_sql("PRAGMA wal_checkpoint"))
        contents.append((sqlite_store.database.file or tmp_path).read_bytes())
    before, after = contents
    torn = tmp_path / "torn.db"
    torn.write_bytes(before[: len(before) // 2] + after[len(before) // 2 :])
    with closing(Database(f"sqlite:///{torn}", pool_size=1, timeout=10)) as database:
        (found,) = verify(database)
    assert (found.kind, found.is_repairable) == (DiscrepancyKind.FILE_DAMAGED, False)

"""Upgrades of registries that older versions filled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from alembic import command
from sqlalchemy.exc import IntegrityError

from airflow_provider_partition_registry.domain import errors, tokens
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.domain.principals import Principal, PrincipalKind
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.database.types import from_microseconds
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from tests.contract.homes import all_events

TOKEN = tokens.create_token()
AT = 1_777_777_777_000_000
PREFIX = "partition_registry"
INTERVAL = Interval(from_microseconds(0), from_microseconds(8000))

EVENTS = [
    ("SOURCE_REGISTERED", "NULL, NULL, NULL, NULL, NULL"),
    ("PROVIDER_REGISTERED", "1, NULL, NULL, NULL, NULL"),
    ("PARTITION_REGISTERED", "1, 0, 8000, NULL, NULL"),
    ("LOCK", "1, 0, 8000, 'p', 1"),
]
IN_0001 = [
    f"INSERT INTO {PREFIX}_source (name, owner, registered_at) VALUES ('s', 'ann', {AT})",
    f"INSERT INTO {PREFIX}_provider (name, registered_at) VALUES ('p', {AT})",
    f"INSERT INTO {PREFIX}_grant VALUES (1, 1, {AT})",
    (
        f"INSERT INTO {PREFIX}_access_token (id, source_id, secret_hash, created_at) "
        f"VALUES ('{TOKEN.id}', 1, '{TOKEN.secret_hash}', {AT})"
    ),
    f"INSERT INTO {PREFIX}_length_class VALUES (1, 5, 32768)",
    (
        f"INSERT INTO {PREFIX}_partition (source_id, provider_id, interval_start, interval_end, length_class, "
        f"state, generation, registered_at, changed_at, exclusive, holder, holder_details, locked_at) "
        f"VALUES (1, 1, 0, 8000, 5, 'locked', 1, {AT}, {AT}, false, 'p', '{{}}', {AT})"
    ),
    *[
        f"INSERT INTO {PREFIX}_event VALUES ({position}, '{event_type}', {AT}, 1, {about}, '{{}}')"
        for position, (event_type, about) in enumerate(EVENTS, start=1)
    ],
    f"UPDATE {PREFIX}_history SET last_position = {len(EVENTS)}",
]
FILL = dict.fromkeys(("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009"), IN_0001)
"""Statements that leave what each older version may have left."""


@pytest.fixture(params=FILL)
def older(empty_url: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A registry that an older version created and filled."""
    with closing(Database(empty_url, pool_size=2, timeout=30)) as database:
        database.write(
            lambda connection: command.upgrade(revisions.alembic_config(connection, database), request.param)
        )
        execute(database, *FILL[request.param])
        yield database


def execute(database: Database, *statements: str) -> None:
    def work(connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    database.write(work)


def test_every_older_version_has_its_data_here() -> None:
    assert list(FILL) == list(revisions.REVISIONS[:-1])


def test_what_is_there_survives(older: Database) -> None:
    revisions.upgrade(older)
    store = SqlRegistryStore(older)
    assert verify(older) == []
    assert [(each.type, each.source_name) for each in all_events(store)] == [
        (name, "s") for name, _ in EVENTS
    ]
    locked = store.get_partition(PartitionKey("s", "p", INTERVAL))
    assert (locked.state, locked.generation, locked.lock.holder.identity) == (PartitionState.LOCKED, 1, "p")
    assert store.unlock(PartitionKey("s", "p", INTERVAL)).state is PartitionState.READY
    assert store.check_readiness("s", INTERVAL).is_ready


def test_a_lock_from_before_cannot_be_released(older: Database) -> None:
    revisions.upgrade(older)
    store = SqlRegistryStore(older)
    with pytest.raises(errors.PartitionStateError, match="older version"):
        store.release(PartitionKey("s", "p", INTERVAL))
    store.lock(PartitionKey("s", "p", INTERVAL))  # when its holder locks again, it is still the same lock
    with pytest.raises(errors.PartitionStateError, match="older version"):
        store.release(PartitionKey("s", "p", INTERVAL))
    store.fail(PartitionKey("s", "p", INTERVAL), reason="disk full")
    store.lock(PartitionKey("s", "p", INTERVAL))
    assert store.release(PartitionKey("s", "p", INTERVAL)).reason == "disk full"
    assert verify(older) == []


def test_tokens_stay_valid(older: Database) -> None:
    revisions.upgrade(older)
    store = SqlRegistryStore(older)
    found = store.identify_token(TOKEN.text)
    assert found.principal == Principal(PrincipalKind.SOURCE, "s")
    assert (found.created_at, found.expires_at, found.revoked_at) == (from_microseconds(AT), None, None)
    assert store.register_provider("q", TOKEN.text).access_token


def test_a_provider_from_before_gets_a_token(older: Database) -> None:
    revisions.upgrade(older)
    store = SqlRegistryStore(older)
    principal = Principal(PrincipalKind.PROVIDER, "p")
    assert store.list_tokens(principal).items == ()
    assert store.identify_token(store.rotate_token(principal).access_token).principal == principal
    assert verify(older) == []


@pytest.mark.parametrize("of", ["1, 1", "NULL, NULL", "7, NULL", "NULL, 7"])
def test_a_token_must_refer_to_an_existing_principal(older: Database, of: str) -> None:
    revisions.upgrade(older)
    columns = "id, secret_hash, created_at, source_id, provider_id"
    with pytest.raises(errors.RegistryError, match=r"one_principal|(?i:foreign key)") as caught:
        execute(
            older,
            f"INSERT INTO {PREFIX}_access_token ({columns}) VALUES ('x', '{TOKEN.secret_hash}', 0, {of})",
        )
    assert isinstance(caught.value.__cause__, IntegrityError)


def test_opening_it_upgrades_only_sqlite(older: Database) -> None:
    """SQLite has no administrator, so it is upgraded when it is opened."""
    store = SqlRegistryStore(older)
    if older.is_sqlite:
        assert store.get_source("s").owner == "ann"
        assert revisions.current(older) == revisions.HEAD
    else:
        with pytest.raises(errors.SchemaOutdatedError, match="partition-registry db upgrade"):
            store.get_source("s")

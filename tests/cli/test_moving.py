"""The guides for moving a registry: from SQLite to PostgreSQL, and from the original's database."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from airflow_provider_partition_registry.domain.errors import InvalidTokenError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Partition, PartitionKey
from airflow_provider_partition_registry.store.contract.writing import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from tests.contract.homes import all_events
from tests.documents import DOCS, blocks

pytestmark = pytest.mark.postgres

DAYS = [Interval(f"2026-11-{day:02}", f"2026-11-{day + 1:02}") for day in range(1, 9)]

# As the original's compose.yml creates them.
TABLES_OF_THE_ORIGINAL = """
    CREATE SCHEMA registry;
    CREATE TABLE registry.sources (id SERIAL PRIMARY KEY, name TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
        access_token TEXT NOT NULL, registered_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP);
    CREATE TABLE registry.providers (id SERIAL PRIMARY KEY, name TEXT NOT NULL UNIQUE, access_token TEXT NOT NULL,
        registered_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP);
    CREATE TABLE registry.partitions (id SERIAL PRIMARY KEY, start TIMESTAMPTZ NOT NULL, "end" TIMESTAMPTZ NOT NULL,
        source_id INTEGER NOT NULL REFERENCES registry.sources(id),
        provider_id INTEGER NOT NULL REFERENCES registry.providers(id),
        registered_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP);
    CREATE TABLE registry.events (partition_id INT REFERENCES registry.partitions(id), event_type TEXT NOT NULL,
        registered_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP);
"""
ITS_DATA = """
    INSERT INTO registry.sources (name, owner, access_token) VALUES
        ('public.sales', 'ann@example.com', 'one'), ('public.stock', 'bob@example.com', 'two');
    INSERT INTO registry.providers (name, access_token) VALUES
        ('loader@example.com', 'one'), ('wrong-token', 'none'), ('idle', 'two');
    INSERT INTO registry.partitions (start, "end", source_id, provider_id) VALUES
        ('2026-11-01Z', '2026-11-02Z', 1, 1), ('2026-11-02Z', '2026-11-03Z', 1, 1),
        ('2026-11-03Z', '2026-11-04Z', 1, 1), ('2026-11-04Z', '2026-11-05Z', 1, 1),
        ('2026-11-04Z', '2026-11-05Z', 1, 1), ('2026-11-05Z', '2026-11-05Z', 1, 1),
        ('2026-11-06Z', '2026-11-07Z', 1, 1), ('2026-11-01Z', '2026-11-02Z', 2, 2);
    INSERT INTO registry.events (partition_id, event_type, registered_at) VALUES
        (1, 'LOCK', '2026-11-10 01:00Z'), (1, 'UNLOCK', '2026-11-10 02:00Z'),
        (2, 'UNLOCK', '2026-11-10 01:00Z'), (2, 'LOCK', '2026-11-10 02:00Z'),
        (4, 'LOCK', '2026-11-10 01:00Z'), (5, 'UNLOCK', '2026-11-10 02:00Z'),
        (7, 'LOCK', '2026-11-10 01:00Z'), (7, 'UNLOCK', '2026-11-10 01:00Z'),
        (8, 'UNLOCK', '2026-11-10 01:00Z');
"""


def follow(page: str, program: str, folder: Path, old: str, new: str) -> None:
    """Save the program that the page shows, and run the page's commands."""
    (code,) = blocks(DOCS / "how-to" / f"{page}.md", "python")
    (folder / program).write_text(code)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-euc", "\n".join(blocks(DOCS / "how-to" / f"{page}.md", "bash"))],
        cwd=folder,
        env={**os.environ, "PATH": path, "OLD": old, "NEW": new},
        check=True,
    )


def all_partitions(store: RegistryStore) -> list[Partition]:
    return [
        each for source in store.list_sources().items for each in store.list_partitions(source.name).items
    ]


def test_from_sqlite_to_postgresql(migrated_sqlite_url: str, postgres_url: str, tmp_path: Path) -> None:
    with open_store(migrated_sqlite_url) as old:
        token = old.register_source("sales", "ann").access_token
        own_token = old.register_provider("loader", token).access_token
        for number, day in enumerate(DAYS):
            key = PartitionKey("sales", "loader", day)
            old.lock(key, register=True, exclusive=number == 2, holder="h")
            if number > 2:
                old.unlock(key, holder="h")
        old.fail(PartitionKey("sales", "loader", DAYS[0]), reason="disk full", holder="h")
        old.rotate_token(old.identify_token(token).principal)
        before = (all_events(old), all_partitions(old))

    follow("sqlite-to-postgresql", "copy_registry.py", tmp_path, migrated_sqlite_url, postgres_url)

    assert_no_json_null(postgres_url)
    with open_store(postgres_url) as new:
        assert (all_events(new), all_partitions(new)) == before
        assert new.identify_token(own_token).principal.name == "loader"
        with pytest.raises(InvalidTokenError):
            new.identify_token(token)
        # The moved registry can be used: new rows get new ids.
        new.unlock(PartitionKey("sales", "loader", DAYS[1]), holder="h")
        new.register_provider("other", new.register_source("stock", "bob").access_token)
        new.register_partition(PartitionKey("stock", "other", DAYS[0]))
        assert [each.position for each in all_events(new)] == list(range(1, len(before[0]) + 5))


def assert_no_json_null(url: str) -> None:
    """A JSON null would be read as the same, but a search for NULL would not find it."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM partition_registry_partition WHERE holder_details::text = 'null'"
        )
        assert cursor.fetchone() == (0,)


def test_from_the_original(postgres_url: str, tmp_path: Path) -> None:
    with closing(psycopg2.connect(postgres_url)) as original, original, original.cursor() as cursor:
        cursor.execute(TABLES_OF_THE_ORIGINAL + ITS_DATA)

    follow("from-the-original", "move_over.py", tmp_path, postgres_url, postgres_url)

    told = [line.split() for line in (tmp_path / "tokens.txt").read_text().splitlines() if " prs_" in line]
    tokens = {name: token for _, name, token in told}
    with open_store(postgres_url) as new:
        assert [(each.name, each.owner) for each in new.list_sources().items] == [
            *(("public.sales", "ann@example.com"), ("public.stock", "bob@example.com")),
        ]
        assert {each.name: each.source_names for each in new.list_providers().items} == {
            "idle": ("public.stock",),
            "loader@example.com": ("public.sales",),
            "wrong-token": ("public.stock",),
        }
        assert {new.identify_token(token).principal.name for token in tokens.values()} == tokens.keys()
        assert [(each.interval, str(each.state)) for each in new.list_partitions("public.sales").items] == [
            (DAYS[0], "ready"),
            (DAYS[1], "registered"),
            (DAYS[2], "registered"),
            (DAYS[3], "ready"),
            (DAYS[5], "registered"),
        ]
        assert new.check_readiness("public.stock", DAYS[0])

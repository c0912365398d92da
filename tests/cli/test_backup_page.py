"""The commands of docs/how-to/backup-and-restore.md, run as they are written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_partition_registry.domain.errors import LostPositionError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store import maintenance
from airflow_provider_partition_registry.store.factory import open_store
from testbed.postgres import PostgresServer, find_programs
from tests.contract.homes import all_events
from tests.documents import DOCS, blocks

BLOCKS = blocks(DOCS / "how-to" / "backup-and-restore.md", "bash")
SQLITE = [each for each in BLOCKS if "/srv/" in each]
POSTGRES = [each for each in BLOCKS if "$DATABASE" in each]
TOLD = [each for each in BLOCKS if "$REGISTRY" in each]


def test_every_block_is_run() -> None:
    assert (len(SQLITE), len(POSTGRES), len(TOLD), len(BLOCKS)) == (2, 2, 1, 5)


def test_sqlite(tmp_path: Path) -> None:
    for folder in ("registry", "backups"):
        (tmp_path / folder).mkdir()
    backup, restore = (each.replace("/srv/", f"{tmp_path}/") for each in SQLITE)
    restores(f"sqlite:///{tmp_path}/registry/registry.db", backup, restore, tmp_path)


@pytest.mark.postgres
def test_postgres(postgres: PostgresServer, postgres_url: str, tmp_path: Path) -> None:
    backup, restore = POSTGRES
    restores(postgres_url, backup, restore, tmp_path)


def test_a_restore_that_does_not_show(tmp_path: Path) -> None:
    """The file is written over, as a snapshot of the disk does."""
    file, copy = tmp_path / "registry.db", tmp_path / "copy.db"
    url = f"sqlite:///{file}"
    with open_store(url) as store:
        store.register_source("kept", "ann")
    shutil.copy(file, copy)
    with open_store(url) as store:
        store.register_source("lost", "ann")
        cursor = store.last_position()
    file.write_bytes(copy.read_bytes())
    (command,) = TOLD
    run(command.replace("$REGISTRY", url), url, tmp_path)
    with open_store(url) as store:
        for number in range(3):
            store.register_source(f"new{number}", "ann")
        with pytest.raises(LostPositionError, match="restored from a backup"):
            store.events(cursor)
        assert store.changed_since("kept", Interval("2026-11-01", "2026-11-02"), cursor)
    # The history can be shown, across the part that was lost.
    for options in ("", "--limit 3", "--since today", "--since 2020-01-01"):
        run(f"partition-registry --url {url} history {options} | grep -c REGISTERED", url, tmp_path)
    assert not maintenance.verify(url).discrepancies


def restores(url: str, backup: str, restore: str, folder: Path) -> None:
    """Afterwards the registry is what it was when it was backed up, can be used, and knows that it was restored."""
    day = Interval("2026-11-01", "2026-11-02")
    with open_store(url) as store:
        store.register_provider("p", store.register_source("kept", "ann").access_token)
        before = all_events(store)
        run(backup, url, folder)
        store.register_source("lost", "ann")
        for _ in range(2):
            store.lock(PartitionKey("kept", "p", day), register=True)
            store.unlock(PartitionKey("kept", "p", day))
        reading = store.check_readiness("kept", day)
        cursor = all_events(store)[-1].position
        assert (reading.is_ready, cursor) == (True, len(before) + 6)
        assert reading.as_of is not None
    run(restore, url, folder)
    with open_store(url) as store:
        assert all_events(store) == before
        assert [each.name for each in store.list_sources().items] == ["kept"]
        # As many events as were lost, and more, of which none is about what was read.
        for number in range(8):
            store.register_source(f"new{number}", "ann")
        assert store.changed_since("kept", day, reading.as_of)
        assert not store.changed_since("kept", day, before[-1].position)
        for source_name in (None, "kept"):
            for lost in (before[-1].position + 1, cursor, cursor + 2):
                with pytest.raises(LostPositionError, match="restored from a backup"):
                    store.events(lost, source_name)
        assert [each.source_name for each in store.events(before[-1].position).items] == [
            f"new{number}" for number in range(8)
        ]
    assert not maintenance.verify(url).discrepancies


def run(commands: str, url: str, folder: Path) -> None:
    path = os.pathsep.join((str(Path(sys.executable).parent), str(find_programs()), os.environ["PATH"]))
    subprocess.run(
        ["bash", "-euc", commands], cwd=folder, env={**os.environ, "PATH": path, "DATABASE": url}, check=True
    )

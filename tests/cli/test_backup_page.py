"""The commands of docs/how-to/backup-and-restore.md, run as they are written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_partition_registry.store.factory import open_store
from testbed.postgres import PostgresServer, find_programs
from tests.contract.homes import all_events
from tests.documents import DOCS, blocks

BLOCKS = blocks(DOCS / "how-to" / "backup-and-restore.md", "bash")
SQLITE = [each for each in BLOCKS if "/srv/" in each]
POSTGRES = [each for each in BLOCKS if "$DATABASE" in each]


def test_every_block_is_run() -> None:
    assert (len(SQLITE), len(POSTGRES), len(BLOCKS)) == (2, 2, 4)


def test_sqlite(tmp_path: Path) -> None:
    for folder in ("registry", "backups"):
        (tmp_path / folder).mkdir()
    backup, restore = (each.replace("/srv/", f"{tmp_path}/") for each in SQLITE)
    restores(f"sqlite:///{tmp_path}/registry/registry.db", backup, restore, tmp_path)


@pytest.mark.postgres
def test_postgres(postgres: PostgresServer, postgres_url: str, tmp_path: Path) -> None:
    backup, restore = POSTGRES
    restores(postgres_url, backup, restore, tmp_path)


def restores(url: str, backup: str, restore: str, folder: Path) -> None:
    """Afterwards the registry is what it was when it was backed up, and can be used."""
    with open_store(url) as store:
        store.register_provider("p", store.register_source("kept", "ann").access_token)
        before = all_events(store)
        run(backup, url, folder)
        store.register_source("lost", "ann")
    run(restore, url, folder)
    with open_store(url) as store:
        assert all_events(store) == before
        assert [each.name for each in store.list_sources().items] == ["kept"]
        assert store.register_source("new", "ann").source.name == "new"


def run(commands: str, url: str, folder: Path) -> None:
    path = os.pathsep.join((str(Path(sys.executable).parent), str(find_programs()), os.environ["PATH"]))
    subprocess.run(
        ["bash", "-euc", commands], cwd=folder, env={**os.environ, "PATH": path, "DATABASE": url}, check=True
    )

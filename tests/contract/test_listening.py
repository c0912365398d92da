"""Listening in SQLite: waiting threads of the process that makes a change are notified at once."""

from __future__ import annotations

from contextlib import closing

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.factory import open_store
from tests.contract.homes import hours


def test_a_change_is_told_to_all_who_listen_in_the_process(migrated_sqlite_url: str) -> None:
    with open_store(migrated_sqlite_url) as writer, open_store(migrated_sqlite_url) as reader:
        writer.register_provider("p", writer.register_source("s", "ann").access_token)
        with closing(reader.open_listener()) as one, closing(writer.open_listener()) as other:
            writer.register_partition(PartitionKey("s", "p", hours(0, 1)))
            assert one.wait(0.01) is None  # registering cannot end anybody's wait
            writer.unlock(PartitionKey("s", "p", hours(0, 1)))
            assert one.wait(60) == other.wait(60) == {"s"}
            assert one.wait(0.01) is None


def test_another_registry_s_changes_are_not_told(migrated_sqlite_url: str, tmp_path) -> None:
    with open_store(migrated_sqlite_url) as reader, open_store(f"sqlite:///{tmp_path / 'other.db'}") as other:
        other.register_provider("p", other.register_source("s", "ann").access_token)
        with closing(reader.open_listener()) as listener:
            other.lock(PartitionKey("s", "p", hours(0, 1)), register=True)
            assert listener.wait(0.01) is None

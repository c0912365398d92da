"""The version from before sources had addresses, beside this one: on one database, and by each other's services."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_partition_registry.domain.errors import InvalidInputError, RegistryError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.store.factory import open_store
from testbed.service_process import ServiceProcess
from testbed.versions import Version, former_version


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return former_version("0009", tmp_path_factory.mktemp("former"))


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """This version's service."""
    with ServiceProcess(f"sqlite:///{tmp_path}/registry.db", "--open") as service:
        yield service.url


@pytest.fixture
def former_url(tmp_path: Path, former: Version) -> Iterator[str]:
    """The former version's service."""
    registry = f"sqlite:///{tmp_path}/former.db"
    with ServiceProcess(registry, "--open", variables=former.variables) as service:
        yield service.url


def test_former_clients_read_sources_that_have_addresses(url: str, former: Version) -> None:
    with open_store(url) as store:
        store.register_source("sales", "ann", uri="s3://bucket/sales")
        store.set_source_uri("sales", "s3://bucket/new")
    assert former.command(url, "source", "register", "clicks", "--owner", "bob").returncode == 0
    listed = json.loads(former.command(url, "source", "list", "--json").stdout)
    assert [(each["name"], "uri" in each) for each in listed] == [("clicks", False), ("sales", False)]
    history = json.loads(former.command(url, "history", "sales", "--json").stdout)
    assert [each["type"] for each in history["events"]] == ["SOURCE_REGISTERED", "SOURCE_REGISTERED"]
    with open_store(url) as store:
        assert [each.uri for each in store.list_sources().items] == [None, "s3://bucket/new"]


def test_the_former_version_goes_on_with_a_database_of_this_one(tmp_path: Path, former: Version) -> None:
    registry = f"sqlite:///{tmp_path}/registry.db"
    with open_store(registry) as store:
        token = store.register_source("sales", "ann", uri="s3://bucket/sales").access_token
        for arguments in (
            ("provider", "register", "nightly", "--access-token", token),
            ("lock", "sales", "nightly", "--start", "2026-11-01", "--grain", "day", "--register"),
            ("unlock", "sales", "nightly", "--start", "2026-11-01", "--grain", "day"),
            ("source", "register", "clicks", "--owner", "bob"),
            ("history", "sales"),
        ):
            done = former.command(registry, *arguments)
            assert done.returncode == 0, done.stderr
        assert store.check_readiness("sales", Interval("2026-11-01", "2026-11-02")).is_ready
        assert [each.uri for each in store.list_sources().items] == [None, "s3://bucket/sales"]


def test_former_services_serve_whoever_needs_no_address(former_url: str) -> None:
    with open_store(former_url) as store:
        assert store.register_source("sales", "ann").source.uri is None
        assert store.get_source("sales").uri is None
        with pytest.raises(InvalidInputError, match="uri"):
            store.register_source("clicks", "ann", uri="s3://bucket/clicks")
        with pytest.raises(RegistryError, match="404"):
            store.set_source_uri("sales", "s3://bucket/sales")
        assert [each.name for each in store.list_sources().items] == ["sales"]

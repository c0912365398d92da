"""The plugin's pages: what Airflow's processes pay for them, and which registries they show."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.errors import StoreRefusedError, UnknownError
from airflow_provider_partition_registry.plugins.partition_registry import (
    MadeWhenAsked,
    PartitionRegistryPlugin,
)
from airflow_provider_partition_registry.plugins.shown_registries import PATIENCE, ConnectedRegistries
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.airflow.registries import Connect
from tests.airflow.versions import IS_AIRFLOW_3, VERSION

LOAD_PLUGINS = """
import json, sys
import airflow
from airflow import plugins_manager
if hasattr(plugins_manager, "ensure_plugins_loaded"):
    plugins_manager.ensure_plugins_loaded()
else:
    plugins_manager.integrate_macros_plugins()
from airflow.listeners.listener import get_listener_manager
get_listener_manager()
assert any("partition_registry" in str(each) for each in sys.modules)
print(json.dumps(sorted(each for each in sys.modules if each.startswith("airflow_provider_partition_registry."))))
"""


def test_other_processes_than_the_web_server_load_none_of_it() -> None:
    done = subprocess.run([sys.executable, "-c", LOAD_PLUGINS], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert "airflow_provider_partition_registry.plugins.partition_registry" in loaded
    assert {each.split(".")[1] for each in loaded} <= {"get_provider_info", "plugins", "policies", "runtime"}
    assert {each for each in loaded if ".plugins." in each} == {
        "airflow_provider_partition_registry.plugins.partition_registry"
    }


def test_they_are_made_once() -> None:
    name = "fastapi_apps" if IS_AIRFLOW_3 else "flask_blueprints"
    (one,) = getattr(PartitionRegistryPlugin, name)
    (same,) = getattr(PartitionRegistryPlugin(), name)
    assert one is same


def test_if_they_cannot_be_made_airflow_starts_without(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> list[Any]:
        raise ImportError("an Airflow that nobody has seen yet")

    class Plugin:
        pages = MadeWhenAsked(fail)

    assert Plugin.pages == []
    assert "cannot be shown in this Airflow" in caplog.text


def test_the_item_in_the_navigation(monkeypatch: pytest.MonkeyPatch) -> None:
    if VERSION >= (3, 1):
        (item,) = PartitionRegistryPlugin.external_views
        assert item["url_route"] == "partition-registry"
        assert item["href"].endswith("/partition-registry/")
    else:
        (item,) = PartitionRegistryPlugin.appbuilder_menu_items
        (blueprint,) = PartitionRegistryPlugin.flask_blueprints
        assert item["href"].split(".")[0] == blueprint.name


@pytest.fixture
def registries() -> ConnectedRegistries:
    return ConnectedRegistries()


@pytest.fixture
def stored_connections(airflow_home: Path) -> Iterator[None]:
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    ids = {"b_stored": "partition_registry", "c_other": "postgres"}
    with create_session() as session:
        session.add_all(Connection(conn_id=name, conn_type=kind) for name, kind in ids.items())
    yield
    with create_session() as session:
        for name in ids:
            session.query(Connection).filter_by(conn_id=name).delete()


@pytest.mark.usefixtures("airflow_home")
class TestWhichRegistries:
    @pytest.mark.usefixtures("stored_connections")
    def test_those_that_airflow_can_list(
        self, registry: RegistryStore, registries: ConnectedRegistries, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_A_URI", "partition-registry://db.example.com/registry")
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", "postgres://db.example.com/shop")
        monkeypatch.setenv("AIRFLOW_CONN_BROKEN", "{no json")
        monkeypatch.setenv("AIRFLOW_CONN_LIST", "  []")
        assert registries.names() == ["partition_registry_default", "a_uri", "b_stored"]

    def test_it_is_opened_once(self, registry: RegistryStore, registries: ConnectedRegistries) -> None:
        first = registries.reader("partition_registry_default")
        assert [each.name for each in first.list_sources().items] == ["clicks", "sales"]
        assert registries.reader("partition_registry_default") is first

    def test_a_connection_that_was_edited_counts_at_once(
        self, registry: RegistryStore, registries: ConnectedRegistries, connect: Connect, tmp_path: Path
    ) -> None:
        registries.reader("partition_registry_default").list_sources()
        connect(f"sqlite:///{tmp_path}/other.db")
        assert registries.reader("partition_registry_default").list_sources().items == ()

    @pytest.mark.usefixtures("stored_connections")
    def test_what_other_connections_there_are_is_not_told(self, registries: ConnectedRegistries) -> None:
        told = []
        for name in ("nowhere", "c_other"):
            with pytest.raises(UnknownError) as caught:
                registries.reader(name)
            told.append(str(caught.value).replace(name, "..."))
        assert told[0] == told[1]

    def test_a_connection_that_leads_nowhere(self, registries: ConnectedRegistries, connect: Connect) -> None:
        connect("")
        with pytest.raises(StoreRefusedError, match="host is empty"):
            registries.reader("partition_registry_default")

    def test_nobody_waits_long_for_a_page(
        self, registries: ConnectedRegistries, connect: Connect, registry_url: str
    ) -> None:
        connect(registry_url, extra={"timeout": "600"})
        registries.reader("partition_registry_default")
        assert registries._opened["partition_registry_default"].settings.timeout == PATIENCE

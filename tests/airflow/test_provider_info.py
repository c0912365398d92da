"""What Airflow learns about the package before it runs any of it."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import airflow
import jsonschema
from airflow.providers_manager import ProvidersManager

from airflow_provider_partition_registry import __version__
from airflow_provider_partition_registry.get_provider_info import (
    CONN_FIELDS,
    UI_FIELD_BEHAVIOUR,
    get_provider_info,
)
from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook

PACKAGE = "airflow-provider-partition-registry"


def test_metadata_fits_this_airflow() -> None:
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_metadata_is_plain_json() -> None:
    assert json.loads(json.dumps(get_provider_info())) == get_provider_info()


def test_modules_in_the_metadata_exist() -> None:
    from importlib import import_module

    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                assert import_module(module)


def test_notifiers_in_the_metadata_exist() -> None:
    from pkgutil import resolve_name

    from airflow.providers.common.compat.sdk import BaseNotifier

    for path in get_provider_info()["notifications"]:
        assert issubclass(resolve_name(path), BaseNotifier)


def test_entry_point_leads_to_the_metadata() -> None:
    (found,) = [
        each
        for each in entry_points(group="apache_airflow_provider")
        if each.value.startswith("airflow_provider_partition")
    ]
    assert found.load()() == get_provider_info()


def test_airflow_finds_the_provider() -> None:
    provider = ProvidersManager().providers[PACKAGE]
    assert provider.version == __version__
    assert provider.data["name"] == "Partition Registry"


def test_airflow_finds_the_hook(hook_info: Any) -> None:
    assert (
        hook_info.hook_class_name
        == f"{PartitionRegistryHook.__module__}.{PartitionRegistryHook.__qualname__}"
    )
    assert hook_info.connection_id_attribute_name == PartitionRegistryHook.conn_name_attr


def test_connection_form(connection_form: dict[str, Any]) -> None:
    assert connection_form["name"] == "Partition Registry"
    assert connection_form["hidden"] == []
    assert connection_form["labels"] == {
        "host": "Registry (host or URL)",
        "password": "Password or access token",
        "url_schema": "Database",
    }
    assert connection_form["placeholders"] == {
        "host": UI_FIELD_BEHAVIOUR["placeholders"]["host"],
        "url_schema": "registry",
        "login": "airflow",
        "port": "5432",
    }
    assert connection_form["extra"] == {
        name: (field["label"], field["description"]) for name, field in CONN_FIELDS.items()
    }
    assert set(connection_form["extra"]) == {"provider", "instance", "timeout", "sslmode", "verify"}

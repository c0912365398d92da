"""The package's metadata for Airflow. Read at Airflow's start-up, so it imports nothing but the version."""

from __future__ import annotations

from typing import Any

from airflow_provider_partition_registry import __version__

INTEGRATION = "Partition Registry"
PACKAGE = "airflow_provider_partition_registry"

# The connection form. Airflow 3 reads it here; Airflow 2 reads it from the hook, which takes it from here.
UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": [],
    "relabeling": {
        "host": "Registry (host or URL)",
        "schema": "Database",
        "password": "Password or access token",
    },
    "placeholders": {
        "host": "https://registry.example.com, db.example.com, postgresql://..., or sqlite:////path/registry.db",
        "schema": "registry",
        "login": "airflow",
        "port": "5432",
    },
}
CONN_FIELDS: dict[str, dict[str, Any]] = {
    "provider": {
        "label": "Provider",
        "description": "The provider that tasks act as unless they name another one. Empty: their DAG's id.",
        "schema": {"type": ["string", "null"]},
    },
    "instance": {
        "label": "Instance",
        "description": "Tells this Airflow's locks from those of others. Empty: its web address, unless that is local.",
        "schema": {"type": ["string", "null"]},
    },
    "timeout": {
        "label": "Timeout",
        "description": "Seconds after which a call gives up. Empty: 10.",
        "schema": {"type": ["string", "null"]},
    },
    "sslmode": {
        "label": "TLS mode",
        "description": "PostgreSQL's sslmode: disable, prefer, require, verify-ca or verify-full. Empty: prefer.",
        "schema": {"type": ["string", "null"]},
    },
    "verify": {
        "label": "Verify",
        "description": (
            "Check a web service's certificate: true, false, or the path of a file with the authorities to trust. "
            "Empty: true."
        ),
        "schema": {"type": ["string", "null"]},
    },
}
# How Airflow makes assets of sources, and OpenLineage's datasets of assets. Airflow 2 looks under "dataset-uris".
ASSET_URIS: dict[str, Any] = {
    "schemes": ["partition-registry"],
    "handler": f"{PACKAGE}.assets.partition_registry.sanitize_uri",
    "factory": f"{PACKAGE}.assets.partition_registry.source_asset",
    "to_openlineage_converter": f"{PACKAGE}.assets.partition_registry.convert_asset_to_openlineage",
}


def get_provider_info() -> dict[str, Any]:
    """Describe the package to Airflow (entry point ``apache_airflow_provider``)."""
    return {
        "package-name": "airflow-provider-partition-registry",
        "name": INTEGRATION,
        "description": "A registry of data readiness: lock partitions while writing, wait until they are good.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": INTEGRATION,
                "external-doc-url": "https://pypi.org/project/airflow-provider-partition-registry/",
                "tags": ["service"],
            }
        ],
        "hooks": [_modules("hooks")],
        "operators": [_modules("operators", "reading", "reconciliation")],
        "sensors": [_modules("sensors")],
        "notifications": [
            f"{PACKAGE}.notifications.partition_registry.{name}"
            for name in ("PartitionNotReadyNotifier", "PartitionLockHeldNotifier")
        ],
        "triggers": [_modules("triggers", "partition_events")],
        "asset-uris": [ASSET_URIS],
        "dataset-uris": [ASSET_URIS],
        "extra-links": [f"{PACKAGE}.links.partition_registry.PartitionRegistryLink"],
        "connection-types": [
            {
                "connection-type": "partition_registry",
                "hook-class-name": f"{PACKAGE}.hooks.partition_registry.PartitionRegistryHook",
                "hook-name": INTEGRATION,
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
                "conn-fields": CONN_FIELDS,
            }
        ],
    }


def _modules(kind: str, *further: str) -> dict[str, Any]:
    modules = [f"{PACKAGE}.{kind}.{name}" for name in ("partition_registry", *further)]
    return {"integration-name": INTEGRATION, "python-modules": modules}

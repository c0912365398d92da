"""Introduce two Airflow instances to a registry: register what they write to, and write down how each connects.

Usage: introduce.py URL FOLDER. The administrator's token is in PARTITION_REGISTRY_ADMINISTRATOR_TOKEN. Each Airflow
gets a file for its LocalFilesystemBackend, with the token of its own provider and nobody else's.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store

SOURCE, OWNER = "shop.sales", "sales-team@example.com"
INSTANCES = ("airflow-2", "airflow-3")
CONNECTION = "partition_registry_default"
FOR_THE_GROUP = 0o640


def main(url: str, folder: Path) -> None:
    """Do it, unless it was done."""
    files = {instance: folder / f"{instance}.json" for instance in INSTANCES}
    if all(file.exists() for file in files.values()):
        return
    with open_store(url, access_token=os.environ["PARTITION_REGISTRY_ADMINISTRATOR_TOKEN"]) as store:
        owners_token = store.register_source(SOURCE, OWNER).access_token
        for instance, file in files.items():
            write(file, connection(store, url, owners_token, instance))


def connection(store: RegistryStore, url: str, owners_token: str, instance: str) -> dict[str, object]:
    """Register an instance's provider; the Airflow connection with which it reaches the registry."""
    registration = store.register_provider(f"loader-on-{instance}", owners_token)
    extra = {"instance": instance, "provider": registration.provider.name}
    return {
        "conn_type": "partition_registry",
        "host": url,
        "password": registration.access_token,
        "extra": json.dumps(extra),
    }


def write(file: Path, fields: dict[str, object]) -> None:
    """Write a connection down where nobody else reads it."""
    file.touch(FOR_THE_GROUP)
    file.write_text(json.dumps({CONNECTION: fields}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

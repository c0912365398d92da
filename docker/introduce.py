"""Introduce two Airflow instances to a registry: register what they write to, and write down how each connects.

Usage: introduce.py URL FOLDER. The administrator's token is in PARTITION_REGISTRY_ADMINISTRATOR_TOKEN. Each Airflow
gets a file for its LocalFilesystemBackend, with the token of its own provider and nobody else's. An instance that has
its file is left alone; whatever an earlier run got done before it was interrupted, this one does the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

from airflow_provider_partition_registry.domain.errors import (
    ProviderAlreadyRegisteredError,
    SourceAlreadyRegisteredError,
)
from airflow_provider_partition_registry.domain.principals import Principal, PrincipalKind
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store

SOURCE, OWNER = "shop.sales", "sales-team@example.com"
INSTANCES = ("airflow-2", "airflow-3")
CONNECTION = "partition_registry_default"
FOR_THE_GROUP = 0o640

# A token that is issued beside those that others hold, which stay valid for as long as anybody will ask.
ALWAYS = timedelta(days=36_500)
FOR_THIS_RUN = timedelta(minutes=10)


def main(url: str, folder: Path) -> None:
    """Introduce the instances that have no file yet."""
    files = {instance: folder / f"{instance}.json" for instance in INSTANCES}
    missing = {instance: file for instance, file in files.items() if not file.exists()}
    if not missing:
        return
    with open_store(url, access_token=os.environ["PARTITION_REGISTRY_ADMINISTRATOR_TOKEN"]) as store:
        owners_token = token_of_source(store)
        for instance, file in missing.items():
            provider = f"loader-on-{instance}"
            write(file, connection(url, instance, provider, token_of_provider(store, provider, owners_token)))


def token_of_source(store: RegistryStore) -> str:
    """Register the source, unless it is; a token of it."""
    try:
        return store.register_source(SOURCE, OWNER).access_token
    except SourceAlreadyRegisteredError:
        source = Principal(PrincipalKind.SOURCE, SOURCE)
        return store.rotate_token(source, overlap=ALWAYS, expires_in=FOR_THIS_RUN).access_token


def token_of_provider(store: RegistryStore, name: str, owners_token: str) -> str:
    """Register the provider and let it write to the source, unless it may; a token of it.

    Nobody else holds one: it would be in the file that is missing.
    """
    token = None
    with contextlib.suppress(ProviderAlreadyRegisteredError):
        token = store.register_provider(name, owners_token).access_token
    return token or store.rotate_token(Principal(PrincipalKind.PROVIDER, name)).access_token


def connection(url: str, instance: str, provider: str, token: str) -> dict[str, object]:
    """The Airflow connection with which an instance reaches the registry."""
    extra = {"instance": instance, "provider": provider}
    return {"conn_type": "partition_registry", "host": url, "password": token, "extra": json.dumps(extra)}


def write(file: Path, fields: dict[str, object]) -> None:
    """Write a connection down where nobody else reads it, all of it or nothing."""
    unfinished = file.with_suffix(".unfinished")
    unfinished.touch(FOR_THE_GROUP)
    unfinished.write_text(json.dumps({CONNECTION: fields}, indent=1))
    unfinished.replace(file)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""The connections that ``docker/introduce.py`` writes, as each version of Airflow reads them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from airflow.secrets.local_filesystem import LocalFilesystemBackend

from airflow_provider_partition_registry.runtime.settings import ConnectionSettings
from testbed.service_process import ServiceProcess
from tests.airflow.services import ADMINISTRATOR_TOKEN, PYTHON

INTRODUCE = Path(__file__).parents[2] / "docker" / "introduce.py"


@pytest.mark.usefixtures("airflow_home")
def test_each_airflow_gets_its_own_door(service: ServiceProcess, tmp_path: Path) -> None:
    token = {"PARTITION_REGISTRY_ADMINISTRATOR_TOKEN": ADMINISTRATOR_TOKEN}
    subprocess.run([PYTHON, INTRODUCE, service.url, tmp_path], env=os.environ | token, check=True)
    for instance in ("airflow-2", "airflow-3"):
        backend = LocalFilesystemBackend(connections_file_path=str(tmp_path / f"{instance}.json"))
        settings = ConnectionSettings.of_connection(backend.get_connection("partition_registry_default"))
        assert (settings.instance, settings.provider) == (instance, f"loader-on-{instance}")
        with settings.open() as store:
            assert store.identify_token(str(settings.access_token)).principal.name == settings.provider

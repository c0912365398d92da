"""Secrets in files reach the processes, and neither the engine's records nor a log."""

from __future__ import annotations

import json
import secrets

from airflow_provider_partition_registry.domain.errors import AccessDeniedError
from airflow_provider_partition_registry.store.factory import open_store
from testbed.containers.report import Report
from testbed.containers.stack import DOCKER, SERVICE, container, inspect, read_log, stack, wait_for_health


def check(report: Report) -> None:
    """Write both secrets, bring it up, and look for them."""
    folder = DOCKER / "secrets"
    folder.mkdir()
    values = {name: secrets.token_hex(32) for name in ("database_password", "administrator_token")}
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n")
    names = [container("postgres"), container("registry")]
    with stack("compose.secrets.yaml") as running:
        running.up("registry")
        wait_for_health(container("registry"))
        report.check("the service reaches the database with the password from the file", True)
        with open_store(SERVICE, access_token=values["administrator_token"]) as store:
            store.register_source("shop.sales", "sales-team@example.com")
        report.check("the administrator's token from the file registers a source", True)
        report.check("nobody else does", is_refused())
        seen = [json.dumps(inspect(name)) for name in names]
        report.check(
            "docker inspect shows none", not any(value in text for text in seen for value in values.values())
        )
        logs = [read_log(name) for name in names]
        report.check("no log shows one", not any(value in text for text in logs for value in values.values()))


def is_refused() -> bool:
    """Whether a caller without a token may not register a source."""
    with open_store(SERVICE) as store:
        try:
            store.register_source("shop.returns", "a-team@example.com")
        except AccessDeniedError:
            return True
    return False

"""At the start, a registry of an older version is upgraded, and one of a newer version is refused."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.schema.revisions import HEAD
from testbed.containers.report import Report
from testbed.containers.stack import SERVICE, container, execute, said, stack, wait_for_health

REGISTRY, POSTGRES = container("registry"), container("postgres")
OLDER_SCHEMA = Path(__file__).with_name("older_schema.py")
DATABASE = "postgresql://registry:registry@127.0.0.1/registry"
NEWER = "UPDATE partition_registry_version SET version_num = '9999'"


def check(report: Report) -> None:
    """Start the service with both."""
    with stack() as running:
        running.up("postgres")
        wait_for_health(POSTGRES)
        mount = f"{OLDER_SCHEMA}:/older_schema.py:ro"
        older = running.run("--volume", mount, "--entrypoint", "python", "registry", "/older_schema.py")
        report.check(
            "there is a registry of an older version",
            older.returncode == 0,
            said(older),
        )
        running.up("registry")
        wait_for_health(REGISTRY)
        current = execute(REGISTRY, "partition-registry", "db", "current").stdout
        report.check("the image brings it up to date", HEAD in current, current.strip())
        with open_store(SERVICE) as store:
            names = [each.name for each in store.list_sources().items]
        report.check("what was in it is there", names == ["shop.sales"], names)
        done = execute(REGISTRY, "partition-registry", "db", "verify")
        report.check("the database is consistent", done.returncode == 0, done.stdout.strip())
        running.require("stop", "registry")
        execute(POSTGRES, "psql", DATABASE, "--command", NEWER).check_returncode()
        newer = running.run("registry")
        reason = newer.stderr.strip().splitlines()[-1:]
        report.check(
            "a newer schema ends the start", newer.returncode != 0 and "newer" in newer.stderr, reason
        )

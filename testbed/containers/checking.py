"""Brings every Compose file up and checks it; needs no network but its own."""

from __future__ import annotations

import sys

from testbed.containers import engine, machine
from testbed.containers.checks import accidents, airflows, context, replicas, secrets, service, upgrade
from testbed.containers.report import Report
from testbed.containers.stack import copy_project

CHAPTERS = {
    "What a build is sent": context.check,
    "compose.yaml: PostgreSQL, Adminer and the web service": service.check,
    "Accidents: restart, kill -9 of the service and of PostgreSQL": accidents.check,
    "Three replicas that start at once on an empty database": replicas.check,
    "Upgrades: an older schema, and a newer one": upgrade.check,
    "compose.secrets.yaml: secrets from files": secrets.check,
    "compose.airflow.yaml: Airflow 2.11 and 3.3": airflows.check,
}


def main() -> int:
    """Make all checks; the exit code."""
    machine.boot(has_network=False)
    report = Report()
    wanted = sys.argv[1:]
    with engine.docker_api():
        for title, check in CHAPTERS.items():
            if not wanted or any(word in check.__module__ for word in wanted):
                copy_project()
                report.run(title, check)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())

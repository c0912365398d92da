"""Brings every Compose file up and checks it; needs no network except its own.

Its arguments are the chapters to run, by the names of their modules; without arguments it runs all.
"""

from __future__ import annotations

import shutil
import sys

from testbed.containers import engine, machine
from testbed.containers.checks import accidents, airflows, context, replicas, secrets, service, upgrade
from testbed.containers.report import Report
from testbed.containers.stack import CONTAINERS_LOGS, copy_project

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
    """Make all checks, and return the exit code."""
    machine.boot(has_network=False)
    report = Report()
    wanted = sys.argv[1:]
    with engine.docker_api():
        for title, check in CHAPTERS.items():
            name = check.__module__.rpartition(".")[2]
            if not wanted or name in wanted:
                copy_project()
                report.run(title, check)
                shutil.copytree(CONTAINERS_LOGS, engine.LOGS / name, dirs_exist_ok=True)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())

"""Three services that start with an empty database at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from testbed.containers.engine import podman
from testbed.containers.report import Report
from testbed.containers.stack import container, execute, inspect, read_log, stack, wait_for_health

REPLICAS = ("replica-1", "replica-2", "replica-3")


def check(report: Report) -> None:
    """Start them side by side. ``--scale`` cannot do that, as the file gives the service one port of the host."""
    with stack() as running:
        running.up("postgres")
        wait_for_health(container("postgres"))

        def start(name: str) -> None:
            running.require("run", "--detach", "--no-deps", "--name", name, "registry")

        with ThreadPoolExecutor(len(REPLICAS)) as pool:
            list(pool.map(start, REPLICAS))
        for name in REPLICAS:
            wait_for_health(name)
        started = sorted(str(inspect(name)["State"]["StartedAt"])[11:23] for name in REPLICAS)
        report.check("all three serve", True, f"started at {', '.join(started)}")
        logs = [read_log(name) for name in REPLICAS]
        report.check("each found or made the schema", all("is at schema" in log for log in logs))
        report.check("their logs hold no traceback", not any("Traceback" in log for log in logs))
        done = execute(REPLICAS[0], "partition-registry", "db", "verify")
        report.check("the database is consistent", done.returncode == 0, done.stdout.strip())
        podman("stop", "--time", "40", *REPLICAS)
        statuses = [inspect(name)["State"]["ExitCode"] for name in REPLICAS]
        report.check("they end with exit status 0", statuses == [0, 0, 0], statuses)

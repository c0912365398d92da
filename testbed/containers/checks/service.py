"""``compose.yaml`` as it is written: start order, health, ports, rights, the page's commands, graceful shutdown."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.factory import open_store
from testbed.containers.report import Report
from testbed.containers.stack import (
    ADMINER,
    SERVICE,
    container,
    execute,
    get,
    inspect,
    read_log,
    said,
    stack,
    wait_for_answer,
    wait_for_health,
)

REGISTRY, POSTGRES = container("registry"), container("postgres")
DAY = Interval(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))
END_WITHIN = 10.0  # seconds


def check(report: Report) -> None:
    """Bring it up, look at it, and stop it."""
    with stack() as running:
        running.up()
        wait_for_health(REGISTRY)
        report.check("the service says that it is healthy", True)
        order = [str(inspect(name)["State"]["StartedAt"]) for name in (POSTGRES, REGISTRY)]
        report.check("PostgreSQL starts first", order == sorted(order))
        report.check("the service answers on the host", get(f"{SERVICE}/readyz")[0] == 200, SERVICE)
        wait_for_answer(ADMINER)
        report.check("Adminer answers on the host", "Adminer" in get(ADMINER)[1], ADMINER)
        check_rights(report)
        check_use(report)
        for command in ("source register shop.returns --owner a-team@example.com", "db verify"):
            done = running.run("registry", *command.split())
            is_done = done.returncode == 0
            report.check(f"docker compose run registry {command}", is_done, "" if is_done else said(done))
        started = time.monotonic()
        running.require("stop", "registry")
        seconds = time.monotonic() - started
        report.check("it ends soon when it is told to", seconds < END_WITHIN, f"{seconds:.1f} s")
        report.check("with exit status 0", (status := inspect(REGISTRY)["State"]["ExitCode"]) == 0, status)
        report.check("its log holds no traceback", "Traceback" not in read_log(REGISTRY))


def check_rights(report: Report) -> None:
    """Check what the service may do in its container."""
    status = dict(
        re.findall(r"^(\w+):\s+(.*)$", execute(REGISTRY, "cat", "/proc/1/status").stdout, re.MULTILINE)
    )
    report.check("it runs as user 10001", status["Uid"].split() == ["10001"] * 4, status["Uid"].split()[0])
    sets = {name: status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    report.check("it has no capability", {int(each, 16) for each in sets.values()} == {0}, sets)
    report.check("it can gain no privileges", status["NoNewPrivs"] == "1")
    for folder, is_writable in (("/opt/registry", False), ("/usr/local/bin", False), ("/tmp", True)):
        done = execute(REGISTRY, "touch", f"{folder}/written")
        claim = f"{folder} can{'' if is_writable else 'not'} be written to"
        report.check(claim, (done.returncode == 0) == is_writable, done.stderr.strip())


def check_use(report: Report) -> None:
    """Register, lock, unlock and ask over HTTP."""
    key = PartitionKey("shop.sales", "nightly-load", DAY)
    with open_store(SERVICE) as store:
        token = store.register_source("shop.sales", "sales-team@example.com").access_token
        provider = store.register_provider("nightly-load", token)
    with open_store(SERVICE, access_token=provider.access_token) as store:
        store.register_partition(key)
        store.lock(key)
        is_blocked = not store.check_readiness("shop.sales", DAY).is_ready
        store.unlock(key)
        report.check(
            "locked is not ready, unlocked is",
            is_blocked and store.check_readiness("shop.sales", DAY).is_ready,
        )

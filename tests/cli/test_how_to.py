"""The how-to guides: their commands run as they are written, in order, and the manifest is valid."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_partition_registry.cli.instants import DurationType
from airflow_provider_partition_registry.cli.options import TOKEN_VARIABLE, URL_VARIABLE, VARIABLES
from airflow_provider_partition_registry.domain.grains import interval_at
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract.writing import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from tests.cli.conftest import Command
from tests.documents import DOCS, blocks

HOW_TO = DOCS / "how-to"
CRON, KUBERNETES, SCRIPTS = (HOW_TO / f"{name}.md" for name in ("cron", "kubernetes", "scripts"))
BINARIES = Path(sys.executable).parent
PROVIDERS = {
    "sales": ("nightly-load", "old-load"),
    "clicks": ("hourly-load",),
    "shop.prices": ("prices",),
}
# A week of them would only take longer.
SHORTER = (" 2026-11-04 2026-11-05 2026-11-06 2026-11-07 2026-11-08", "")

Shell = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def shell(tmp_path: Path, migrated_sqlite_url: str) -> Shell:
    """Runs a script where the pages' scripts are, with a registry that knows their sources and providers."""
    with open_store(migrated_sqlite_url) as store:
        for source, providers in PROVIDERS.items():
            token = store.register_source(source, "ann").access_token
            for provider in providers:
                store.register_provider(provider, token)
    for name in ("load.sh", "report.sh"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} >> done\n")
        (tmp_path / name).chmod(0o755)

    def run(script: str, **variables: str) -> subprocess.CompletedProcess:
        path = f"{BINARIES}{os.pathsep}{os.environ['PATH']}"
        about_us = {"PATH": path, "USER": "ann", URL_VARIABLE: migrated_sqlite_url}
        return subprocess.run(
            ["bash", "-euc", script],
            cwd=tmp_path,
            env={**os.environ, **variables, **about_us},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def registry(migrated_sqlite_url: str, shell: Shell) -> Iterator[RegistryStore]:
    """The registry that the scripts write to."""
    with open_store(migrated_sqlite_url) as store:
        yield store


class Reader:
    """Does what a reader of a page does: runs its commands in order, as they are written.

    Plain calls of the command are made in this process, as starting each would take most of a second; a shell runs
    the rest.
    """

    def __init__(self, shell: Shell, call: Command) -> None:
        self._shell = shell
        self._call = call

    def follow(self, page: str) -> str:
        """Run the page's commands, and return their output."""
        return "".join(map(self._run, blocks(HOW_TO / f"{page}.md", "bash")))

    def _run(self, block: str) -> str:
        commands = block.replace("\\\n", "").strip().splitlines()
        if all(re.fullmatch(r"partition-registry (?!run )[^|&;<>()`]+", each) for each in commands):
            return "".join(self._call_plainly(each) for each in commands)
        done = self._shell(block.replace(*SHORTER))
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    def _call_plainly(self, command: str) -> str:
        _, *words = shlex.split(command.replace("$USER", "ann"))
        outcome = self._call(*words)
        assert outcome.code == 0, f"{command}\n{outcome.stdout}{outcome.stderr}"
        return outcome.stdout


@pytest.fixture
def reader(shell: Shell, run: Command) -> Reader:
    return Reader(shell, run)


def test_scripts(reader: Reader, shell: Shell, tmp_path: Path):
    reader.follow("scripts")
    assert (tmp_path / "done").read_text() == "load.sh\n"
    for name in ("bash", "zsh", "fish"):
        assert "_PARTITION_REGISTRY_COMPLETE" in (tmp_path / f"partition-registry.{name}").read_text()
    assert shell("bash -n partition-registry.bash").returncode == 0


def test_cron_in_a_shell(reader: Reader):
    assert "ended with 3" in reader.follow("cron")


def test_two_writers(reader: Reader, registry: RegistryStore):
    reader.follow("two-writers")
    (source,) = {each.source_names for each in registry.list_providers("shop.visits").items}
    assert source == ("shop.visits",)


def test_hourly_into_daily(reader: Reader, tmp_path: Path):
    reader.follow("hourly-into-daily")
    assert (tmp_path / "done").read_text() == "load.sh\n"


def test_several_sources(reader: Reader, registry: RegistryStore, tmp_path: Path):
    yesterday = interval_at(datetime.now(UTC) - timedelta(days=1), "day")
    for source, provider in (("sales", "nightly-load"), ("clicks", "hourly-load")):
        key = PartitionKey(source, provider, yesterday)
        registry.lock(key, register=True)
        registry.unlock(key)
    reader.follow("several-sources")
    assert (tmp_path / "done").read_text() == "report.sh\n"


def test_conditions(reader: Reader, registry: RegistryStore, tmp_path: Path):
    yesterday = interval_at(datetime.now(UTC) - timedelta(days=1), "day")
    for source, provider in (("sales", "nightly-load"), ("clicks", "hourly-load")):
        key = PartitionKey(source, provider, yesterday)
        registry.lock(key, register=True)
        registry.unlock(key)
    reader.follow("conditions")
    assert (tmp_path / "done").read_text() == "report.sh\n"


def test_backfill(reader: Reader, registry: RegistryStore, tmp_path: Path):
    table = reader.follow("backfill")
    assert (tmp_path / "done").read_text() == "load.sh\n" * 4, "each of two days twice"
    assert registry.check_readiness("sales", Interval("2026-11-02", "2026-11-04")).is_ready
    assert re.findall(r"ready +\S+ +(\d+)", table) == ["3", "3"], (
        "the second time locked, and locked again by the run"
    )


def test_backfill_of_a_year(shell: Shell, registry: RegistryStore, tmp_path: Path):
    (script,) = (each for each in blocks(HOW_TO / "backfill.md", "python") if "lock_many" in each)
    (tmp_path / "backfill.py").write_text(script)
    done = shell(f"{shlex.quote(sys.executable)} backfill.py")
    assert done.returncode == 0, done.stderr
    assert registry.check_readiness("sales", Interval("2025-01-01", "2026-01-01")).is_ready
    assert not registry.list_locks().items


def test_failed_day(reader: Reader, registry: RegistryStore):
    """Everything that may have to be done about a failed day, in order."""
    day, next_day = Interval("2026-11-01", "2026-11-02"), Interval("2026-11-02", "2026-11-03")
    for provider in ("nightly-load", "old-load"):
        key = PartitionKey("sales", provider, day)
        registry.lock(key, register=True)
        registry.fail(key, reason="disk full")
    registry.lock(PartitionKey("sales", "old-load", next_day), register=True)
    reader.follow("failed-day")
    states = {
        (each.provider_name, each.interval): each.state for each in registry.list_partitions("sales").items
    }
    assert states == {
        ("nightly-load", day): "failed",
        ("old-load", day): "registered",
        ("old-load", next_day): "failed",
    }
    told = [
        each.type
        for each in registry.events(source_name="sales").items
        if each.provider_name == "nightly-load"
    ]
    assert told[-5:] == ["LOCK", "UNLOCK", "LOCK", "UNLOCK", "INVALIDATE"], "written, published, declared bad"


def test_cleared_task(reader: Reader):
    reader.follow("cleared-task")


def test_lineage(reader: Reader, registry: RegistryStore):
    reader.follow("lineage")
    assert registry.get_source("shop.orders").uri == "postgres://warehouse/shop/public/orders"


def test_rotate_a_token(reader: Reader, registry: RegistryStore):
    said = reader.follow("rotate-a-token")
    assert len(re.findall(r"^prs_", said, flags=re.MULTILINE)) == 2
    assert registry.get_provider("nightly-load").source_names == ()


def test_upgrade(reader: Reader):
    reader.follow("upgrade")


def test_completion_knows_commands_and_options(shell: Shell):
    def proposed(words: str, index: int) -> list[str]:
        told = shell(
            "partition-registry",
            _PARTITION_REGISTRY_COMPLETE="bash_complete",
            COMP_WORDS=words,
            COMP_CWORD=str(index),
        )
        return [line.partition(",")[2] for line in told.stdout.splitlines()]

    assert proposed("partition-registry wa", 1) == ["wait", "watch"]
    assert "--on-conflict" in proposed("partition-registry run --on", 2)
    assert proposed("partition-registry run --on-conflict ''", 3) == ["fail", "wait"]


def test_its_crontab(shell: Shell, tmp_path: Path):
    crontab, _ = blocks(CRON, "cron")
    lines = crontab.splitlines()
    variables = dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))
    commands = [line.split(maxsplit=5) for line in lines if not re.match(r"\w+=", line)]
    assert len(commands) == 3
    for *schedule, command in commands:
        assert all(re.fullmatch(r"[\d*/,-]+", field) for field in schedule)
        assert "%" not in command.replace(r"\%", "")
        done = shell(command, **variables)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "cron would send a mail"
    assert (tmp_path / "done").read_text() == "load.sh\nreport.sh\nload.sh\n"


def test_its_crontab_for_a_web_service():
    _, variables = blocks(CRON, "cron")
    names = [line.partition("=")[0] for line in variables.splitlines()]
    assert names == [*VARIABLES] == re.findall(r"^\| `(\w+)` \|", SCRIPTS.read_text(), flags=re.MULTILINE)


@pytest.fixture
def manifests() -> dict[str, Any]:
    (text,) = blocks(KUBERNETES, "yaml")
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(text)}


ALLOWED = {
    "CronJob": {"apiVersion", "kind", "metadata", "spec"},
    "spec": {
        "schedule",
        "timeZone",
        "concurrencyPolicy",
        "startingDeadlineSeconds",
        "suspend",
        "jobTemplate",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
    },
    "job": {
        "backoffLimit",
        "activeDeadlineSeconds",
        "template",
        "ttlSecondsAfterFinished",
        "podFailurePolicy",
    },
    "pod": {
        "restartPolicy",
        "terminationGracePeriodSeconds",
        "containers",
        "initContainers",
        "activeDeadlineSeconds",
    },
    "container": {"name", "image", "command", "args", "env", "envFrom", "resources"},
}
"""Fields of batch/v1 and v1; a cluster refuses other fields, or drops them silently."""


def option(arguments: list[str], name: str) -> timedelta:
    (value,) = [each.partition("=")[2] for each in arguments if each.startswith(f"--{name}=")]
    return DurationType().convert(value, None, None)


def test_its_manifest(manifests: dict[str, Any]):
    assert [each["apiVersion"] for each in manifests.values()] == ["v1", "batch/v1"]
    cron_job = manifests["CronJob"]
    spec = cron_job["spec"]
    job = spec["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    for name, found in (
        ("CronJob", cron_job),
        ("spec", spec),
        ("job", job),
        ("pod", pod),
        ("container", container),
    ):
        assert found.keys() <= ALLOWED[name], name
    for name in (cron_job["metadata"]["name"], container["name"], manifests["Secret"]["metadata"]["name"]):
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
        assert len(name) <= 52
    assert len(spec["schedule"].split()) == 5
    assert spec["concurrencyPolicy"] in ("Allow", "Forbid", "Replace")
    assert pod["restartPolicy"] in ("Never", "OnFailure")
    assert all(isinstance(each, str) for each in container["command"] + container["args"])


def test_its_manifest_takes_url_and_token_from_its_secret(manifests: dict[str, Any]):
    (container,) = manifests["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    *from_secret, job_name = container["env"]
    secret = manifests["Secret"]
    values = {}
    for variable in from_secret:
        reference = variable["valueFrom"]["secretKeyRef"]
        assert reference["name"] == secret["metadata"]["name"]
        values[variable["name"]] = secret["stringData"].pop(reference["key"])
    assert values.keys() == {URL_VARIABLE, TOKEN_VARIABLE}
    assert values[URL_VARIABLE].startswith("https://")
    assert not secret["stringData"], "nothing reads these"
    assert job_name["valueFrom"]["fieldRef"]["fieldPath"].startswith("metadata.labels['")
    assert f"--holder=$({job_name['name']})" in container["args"]


def test_the_times_in_its_manifest_fit_together(manifests: dict[str, Any]):
    job = manifests["CronJob"]["spec"]["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    arguments = pod["containers"][0]["args"]
    grace = option(arguments, "grace")
    assert grace < timedelta(seconds=pod["terminationGracePeriodSeconds"])
    assert grace * 3 <= option(arguments, "lease")
    assert option(arguments, "timeout") < timedelta(seconds=job["activeDeadlineSeconds"])


def test_what_its_container_runs(manifests: dict[str, Any], shell: Shell, tmp_path: Path):
    (container,) = manifests["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    words = [*container["command"], *container["args"]]
    expanded = [re.sub(r"\$\((\w+)\)", "nightly-load-29412345", word) for word in words]
    done = shell(shlex.join(expanded))
    assert done.returncode == 0, done.stderr
    assert "Locked" in done.stderr
    assert "by nightly-load-29412345, generation 1" in done.stderr
    assert (tmp_path / "done").read_text() == "load.sh\n"

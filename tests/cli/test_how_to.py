"""docs/cron-and-kubernetes.md: its commands run as they stand, and its manifest is one."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_partition_registry.cli.instants import DurationType
from airflow_provider_partition_registry.cli.options import TOKEN_VARIABLE, URL_VARIABLE, VARIABLES
from airflow_provider_partition_registry.store.factory import open_store

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cron-and-kubernetes.md").read_text()
BINARIES = Path(sys.executable).parent

Shell = Callable[..., subprocess.CompletedProcess]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def shell(tmp_path: Path, migrated_sqlite_url: str) -> Shell:
    """Runs a script where the page's scripts are, in a registry that knows its sources and providers."""
    with open_store(migrated_sqlite_url) as store:
        for source, provider in (("sales", "nightly-load"), ("clicks", "hourly-load")):
            store.register_provider(provider, store.register_source(source, "ann").access_token)
    for name in ("load.sh", "report.sh"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} >> done\n")
        (tmp_path / name).chmod(0o755)

    def run(script: str, **variables: str) -> subprocess.CompletedProcess:
        path = f"{BINARIES}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, **variables, URL_VARIABLE: migrated_sqlite_url}
        return subprocess.run(
            ["bash", "-euc", script],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_its_commands_run(shell: Shell, tmp_path: Path):
    scripts = blocks("bash")
    assert len(scripts) >= 6
    for script in scripts:
        done = shell(script)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        if "ended with $?" in script:
            assert "ended with 3" in done.stdout
    assert (tmp_path / "done").read_text() == "load.sh\n"
    for name in ("bash", "zsh", "fish"):
        assert "_PARTITION_REGISTRY_COMPLETE" in (tmp_path / f"partition-registry.{name}").read_text()
    assert shell("bash -n partition-registry.bash").returncode == 0


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
    crontab, _ = blocks("cron")
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
    _, variables = blocks("cron")
    names = [line.partition("=")[0] for line in variables.splitlines()]
    assert names == [*VARIABLES] == re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)


@pytest.fixture
def manifests() -> dict[str, Any]:
    (text,) = blocks("yaml")
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
"""Fields of batch/v1 and v1; a cluster refuses others, or drops them silently."""


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

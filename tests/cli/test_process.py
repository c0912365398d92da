"""The real command, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_partition_registry import __version__
from airflow_provider_partition_registry.cli.options import URL_VARIABLE
from airflow_provider_partition_registry.store.factory import open_store
from tests.cli.conftest import NOVEMBER

SCRIPT = Path(sys.executable).parent / "partition-registry"
WAYS = {
    "script": [str(SCRIPT)],
    "module": [sys.executable, "-m", "airflow_provider_partition_registry.cli"],
}
HEAVY = ("airflow", "sqlalchemy", "alembic", "psycopg2", "pendulum")


def call(
    *arguments: str, url: str | None = None, way: str = "script", **more: Any
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != URL_VARIABLE}
    if url is not None:
        environment[URL_VARIABLE] = url
    return subprocess.run(
        [*WAYS[way], *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,
    )


@pytest.mark.parametrize("way", WAYS)
def test_both_ways_to_call_it(way: str):
    shown = call("--version", way=way)
    assert (shown.returncode, shown.stdout, shown.stderr) == (
        0,
        f"partition-registry, version {__version__}\n",
        "",
    )
    assert call("--help", way=way).stdout.startswith("Usage: partition-registry [OPTIONS]")


@pytest.mark.parametrize(
    "arguments", [("--help",), ("ready", "--help"), ("nope",), ("ready", "x", *NOVEMBER)]
)
def test_nothing_heavy_is_imported_before_it_is_needed(arguments: tuple[str, ...]):
    program = (
        "import sys\n"
        "from airflow_provider_partition_registry.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != URL_VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    imported = {name.partition(".")[0] for name in done.stderr.split()}
    assert "airflow_provider_partition_registry" in imported
    assert not imported.intersection(HEAVY)


def test_a_command_with_a_store_imports_no_airflow(sqlite_url: str):
    program = (
        "import sys\n"
        "from airflow_provider_partition_registry.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "assert 'sqlalchemy' in sys.modules\nassert 'airflow' not in sys.modules\n"
    )
    call_ = [sys.executable, "-c", program, "--url", sqlite_url, "db", "upgrade"]
    done = subprocess.run(call_, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_pipe_does_not_look_like_an_answer(migrated_sqlite_url: str):
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [*WAYS["script"], "source", "list", "--url", migrated_sqlite_url],
            stdout=write,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_terminal_that_does_not_know_all_letters(sqlite_url: str):
    with open_store(sqlite_url) as store:
        store.register_source("продажи", "x")
    environment = {**os.environ, URL_VARIABLE: sqlite_url, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(
        [*WAYS["script"], "source", "list"], env=environment, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert b"\\u043f" in done.stdout


def test_a_closed_standard_input_gives_no_token(sqlite_url: str) -> None:
    done = subprocess.run(
        f"{sys.executable} -m airflow_provider_partition_registry.cli provider register p <&-",
        shell=True,
        check=False,
        env={**os.environ, "PARTITION_REGISTRY_URL": sqlite_url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "No access token given" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("ready", "gr\udcfcn", *NOVEMBER),
        ("ready", "sales", "--start", "\udcfc", "--end", "2026-12-01"),
        ("source", "register", "gr\udcfcn", "--owner", "ann"),
        ("source", "register", "new", "--owner", "\udcfc"),
        ("lock", "sales", "nightly", *NOVEMBER, "--holder", "\udcfc"),
    ],
    ids=ascii,
)
def test_arguments_that_are_not_utf8_are_refused(migrated_sqlite_url: str, arguments: tuple[str, ...]):
    refused = call(*arguments, url=migrated_sqlite_url)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("Error: ")
    assert call("source", "list", url=migrated_sqlite_url).stdout == "No sources.\n"

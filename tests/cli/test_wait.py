"""``wait``: how it ends, what it prints, and how soon PostgreSQL wakes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from airflow_provider_partition_registry.cli.options import URL_VARIABLE
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.postgres import PostgresServer
from testbed.processes import wait_until
from tests.cli.conftest import Command, day

SCRIPT = Path(sys.executable).parent / "partition-registry"
WAIT = ("wait", "sales", *day(1))
SHORT = ("--timeout", "1s", "--poll-interval", "1s")
PLACE = PartitionKey("sales", "nightly", Interval("2026-11-01", "2026-11-02"))


@pytest.fixture
def published(nightly: Command) -> Command:
    nightly("lock", "sales", "nightly", *day(1))
    assert nightly("unlock", "sales", "nightly", *day(1)).code == 0
    return nightly


@pytest.fixture
def failed(nightly: Command) -> Command:
    nightly("lock", "sales", "nightly", *day(1))
    assert nightly("fail", "sales", "nightly", *day(1), "--reason", "disk full").code == 0
    return nightly


def test_what_is_ready_is_not_waited_for_and_nothing_is_said(published: Command):
    done = published(*WAIT, *SHORT)
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    assert published(*WAIT, *SHORT, "--verbose").stderr.startswith("Ready: [2026-11-01")


def test_a_time_out_says_what_is_missing(failed: Command):
    began = time.monotonic()
    late = failed(*WAIT, *SHORT)
    assert (late.code, late.stdout) == (3, "")
    assert late.stderr.startswith("Timed out.\nNot ready: [2026-11-01")
    assert "disk full" in late.stderr
    assert 1 <= time.monotonic() - began < 10


def test_a_failed_write_may_end_it(failed: Command):
    ended = failed(*WAIT, *SHORT, "--on-failed", "fail")
    assert (ended.code, ended.stdout) == (1, "")
    assert "disk full" in ended.stderr


def test_published_after(published: Command):
    assert published(*WAIT, *SHORT, "--published-after", "2026-01-01").code == 0
    late = published(*WAIT, *SHORT, "--published-after", "2999-01-01")
    assert "not known to have been published since" in late.stderr


def test_all_sources_are_waited_for(published: Command):
    published("source", "register", "stock", "--owner", "x")
    late = published(*WAIT, "stock", *SHORT)
    assert late.code == 3
    assert "\nReady: [2026-11-01" in late.stderr
    assert "nobody has published" in late.stderr


def test_a_source_that_is_not_registered(published: Command):
    refused = published(*WAIT, "nope", *SHORT)
    assert refused.code == 4
    late = published(*WAIT, "nope", *SHORT, "--on-missing-source", "wait")
    assert late.code == 3
    assert "Source 'nope' is not registered" in late.stderr


def test_as_json(published: Command):
    told = published(*WAIT, *SHORT, "--json")
    assert (told.code, told.stderr, told.json["is_ready"]) == (0, "", True)
    assert [each["is_ready"] for each in told.json["answers"]] == [True]
    late = published("wait", "sales", *day(2), *SHORT, "--json")
    assert (late.code, late.stderr, late.json["is_ready"]) == (3, "", False)
    assert published("wait", "nope", *day(1), "--json").error["code"] == "unknown_source"


def test_a_registry_that_is_not_there_is_waited_for(run: Command):
    late = run(*WAIT, *SHORT, url="postgresql://127.0.0.1:1/none")
    assert late.code == 3
    assert "does not respond" in late.stderr


def test_a_url_that_names_no_registry_is_not_waited_for(run: Command):
    assert run(*WAIT, *SHORT, url="ftp://x").code == 2
    assert run(*WAIT, *SHORT, url="").code == 2


def with_a_lock(store: RegistryStore) -> None:
    store.register_provider("nightly", store.register_source("sales", "x").access_token)
    store.lock(PLACE, register=True)


def wait_until_it_listens(postgres: PostgresServer, url: str) -> None:
    """Wait until it has subscribed; by then its first question has been answered."""
    listening = (
        f"SELECT 1 FROM pg_stat_activity WHERE datname = '{url.rpartition('/')[2]}' AND query LIKE 'LISTEN%'"
    )
    wait_until(lambda: postgres.execute(listening), what="it to listen", timeout=60, interval=0.02)


@pytest.mark.postgres
def test_postgres_wakes_it_and_nothing_holds_up_its_end(postgres_url: str, postgres: PostgresServer):
    with open_store(postgres_url) as store:
        with_a_lock(store)
        waiting = subprocess.Popen(
            [SCRIPT, *WAIT, "--poll-interval", "1h", "--verbose"],
            env={**os.environ, URL_VARIABLE: postgres_url},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert waiting.stderr is not None
        assert "Not ready" in waiting.stderr.readline()
        wait_until_it_listens(postgres, postgres_url)
        unlocked_at = time.monotonic()
        store.unlock(PLACE)
        assert any(line.startswith("Ready:") for line in waiting.stderr)
        woken_at = time.monotonic()
        assert waiting.wait(20) == 0
        ended_at = time.monotonic()
        waiting.stderr.close()
    assert woken_at - unlocked_at < 1
    assert ended_at - woken_at < 1.5


def test_a_second_interrupt_prints_no_traceback(nightly: Command, sqlite_url: str):
    environment = {**os.environ, URL_VARIABLE: sqlite_url}
    waiting = subprocess.Popen(
        [SCRIPT, *WAIT, "--verbose"], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert waiting.stderr is not None
    assert "Not ready" in waiting.stderr.readline()
    while waiting.poll() is None:
        waiting.send_signal(signal.SIGINT)
        time.sleep(0.001)
    with waiting.stderr as errors:
        assert "Traceback" not in errors.read()
    # At its very end Python lets the signal end the process, which a shell reports as 130 as well.
    assert waiting.returncode in (130, -signal.SIGINT)


@pytest.mark.postgres
def test_an_outage_is_ridden_out(run: Command, postgres_url: str, postgres: PostgresServer):
    with open_store(postgres_url) as store:
        with_a_lock(store)

        def cut_off_then_publish() -> None:
            wait_until_it_listens(postgres, postgres_url)
            postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{postgres_url.rpartition('/')[2]}'"
            )
            store.unlock(PLACE)

        cutting = threading.Thread(target=cut_off_then_publish)
        cutting.start()
        done = run(*WAIT, "--timeout", "30s", url=postgres_url)
        cutting.join()
    assert (done.code, done.stderr) == (0, "")

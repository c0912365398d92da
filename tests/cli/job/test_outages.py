"""``run`` when PostgreSQL goes down: in the middle, at the end, and for good."""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_partition_registry.cli.options import URL_VARIABLE
from tests.cli.job.conftest import (
    SCRIPT,
    WAITING_LONG,
    Registry,
    Running,
    guardian_of,
    is_alive,
    registered,
    until,
)
from tests.conftest import upgrade

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

UNTIL_TOLD = ("sh", "-c", "echo $$; read word; exit 0")

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server of this module's own, as tests damage it."""
    from testbed.postgres import PostgresServer

    with PostgresServer(options={"fsync": "off"}) as server:
        yield server


@pytest.fixture
def registry(server: Any) -> Iterator[Registry]:
    made = registered(upgrade(server.create_database(f"outage_{next(_numbers)}")))
    yield made
    made.tidy()
    made.store.close()


def started(registry: Registry, *options: str) -> tuple[Running, int]:
    running = registry.start(*options, "--", *UNTIL_TOLD, stdin=subprocess.PIPE)
    return running, int(running.line())


def let_end(running: Running) -> None:
    assert running.process.stdin is not None
    running.process.stdin.write("\n")
    running.process.stdin.flush()


def test_a_moment_without_the_registry_is_ridden_out(server: Any, registry: Registry):
    running, _ = started(registry, "--lease", "9s")
    server.kill()
    trouble = running.error_line()
    assert "The lease cannot be renewed, the command goes on for now." in trouble
    server.start()
    until(lambda: "RENEW" in [each.type.value for each in registry.history()], "the lease to be renewed")
    let_end(running)
    assert running.end() == (0, "")
    assert registry.partition.state.value == "ready"


def test_a_lease_that_cannot_be_renewed_ends_the_command_before_others_may_write(
    server: Any, registry: Registry
):
    limits = ("--lease", "6s", "--grace", "1s", "--retry-for", "1s")
    running = registry.start(*limits, "--", "sh", "-c", "echo $$; exec sleep 60")
    child = int(running.line())
    server.kill()
    try:
        code, errors = running.end()
    finally:
        server.start()
    assert code == 5
    assert "Its lease is nearly over and cannot be renewed" in errors
    assert not is_alive(child)


def test_a_registry_that_hangs_does_not_keep_a_command_beyond_its_lease(server: Any, registry: Registry):
    limits = ("--lease", "6s", "--grace", "1m", "--retry-for", "1s")
    running = registry.start(*limits, "--", "sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.05; done")
    child = int(running.line())
    with server.paused():
        began = time.monotonic()
        until(lambda: not is_alive(child), "the command to end")
        assert time.monotonic() - began < 7
    assert running.end()[0] == 5


def test_a_registry_that_hangs_when_the_command_ends_is_waited_for_no_longer_than_told(
    server: Any, registry: Registry
):
    running = registry.start(
        "--retry-for", "1s", "--", *UNTIL_TOLD, stdin=subprocess.PIPE, wrapper=WAITING_LONG
    )
    running.line()
    with server.paused():
        let_end(running)
        code, errors = running.end()
    assert code == 7
    assert "The registry has not answered." in errors
    assert "Once the registry answers: partition-registry unlock" in errors


def test_a_guardian_that_is_stopped_while_the_lease_cannot_be_renewed_is_not_waited_for(
    server: Any, registry: Registry
):
    limits = ("--lease", "6s", "--grace", "1s", "--retry-for", "1s")
    running, child = started(registry, *limits)
    server.kill()
    try:
        os.kill(guardian_of(running), signal.SIGSTOP)
        code, _ = running.end()
    finally:
        server.start()
    assert code == 5
    assert not is_alive(child)


def test_publishing_is_tried_again(server: Any, registry: Registry):
    running, _ = started(registry, "--verbose")
    running.error_line()
    server.kill()
    let_end(running)
    assert "Trying again." in running.error_line()
    server.start()
    code, errors = running.end()
    assert code == 0
    assert "Published" in errors


@pytest.mark.parametrize(("script", "code", "state"), [("exit 0", 7, "ready"), ("exit 3", 3, "failed")])
def test_a_registry_that_stays_away_leaves_a_command_to_paste(
    server: Any, registry: Registry, script: str, code: int, state: str
):
    running = registry.start("--retry-for", "1s", "--", "sh", "-c", f"echo up; read word; {script}", stdin=-1)
    running.line()
    server.kill()
    try:
        let_end(running)
        ended, errors = running.end()
    finally:
        server.start()
    assert ended == code
    assert "is still locked, by " in errors
    (pasted,) = [line for line in errors.splitlines() if "Once the registry answers: " in line]
    words = shlex.split(pasted.partition("Once the registry answers: ")[2])
    done = subprocess.run(
        [SCRIPT, *words[1:]], env={URL_VARIABLE: registry.url}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert registry.partition.state.value == state


def test_without_a_registry_nothing_is_run(server: Any, registry: Registry):
    server.kill()
    try:
        code, errors = registry.run("--", "sh", "-c", "echo ran >&2")
        assert (code, "ran" in errors) == (7, False)
        waited, errors = registry.run(
            "--on-conflict", "wait", "--timeout", "1s", "--", "sh", "-c", "echo ran >&2"
        )
        assert (waited, "does not respond" in errors, "ran" in errors) == (3, True, False)
    finally:
        server.start()
